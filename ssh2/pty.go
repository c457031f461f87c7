package ssh2

// A PTY describes a terminal (RFC 4254 section 6.2). Sizes are in characters
// and in pixels; sizes in characters take precedence unless they are 0.
//
// To a client the zero PTY is a "vt100" of 80 by 24 characters and 640 by 480
// pixels. Fields that are 0 get these defaults, with one exception: if only the
// characters or only the pixels are set, the others stay 0, which means
// unknown.
type PTY struct {
	Term                             string // value of TERM; untrusted on a server
	Width, Height, WidthPx, HeightPx uint32
	Modes                            TerminalModes // in the order of the client
}

// withDefaults returns what a client asks for.
func (p *PTY) withDefaults() PTY {
	d := *p
	orDefault(&d.Term, "vt100")
	chars, pixels := d.Width|d.Height != 0, d.WidthPx|d.HeightPx != 0
	if chars || !pixels {
		orDefault(&d.Width, 80)
		orDefault(&d.Height, 24)
	}
	if pixels || !chars {
		orDefault(&d.WidthPx, 640)
		orDefault(&d.HeightPx, 480)
	}
	return d
}
