package msg

import "github.com/fairlead-ssh/fairlead/internal/wire"

// PtyReq is the data of a pty-req request (RFC 4254 section 6.2). Width and
// Height are in characters, WidthPx and HeightPx in pixels.
type PtyReq struct {
	Term                             string
	Width, Height, WidthPx, HeightPx uint32
	Modes                            []byte // encoded terminal modes (section 8)
}

// Layout implements wire.Layouter.
func (m *PtyReq) Layout(c *wire.Coder) {
	c.String(&m.Term)
	c.Uint32(&m.Width)
	c.Uint32(&m.Height)
	c.Uint32(&m.WidthPx)
	c.Uint32(&m.HeightPx)
	c.Bytes(&m.Modes)
}

// WindowChange is the data of a window-change request (RFC 4254 section 6.7).
type WindowChange struct{ Width, Height, WidthPx, HeightPx uint32 }

// Layout implements wire.Layouter.
func (m *WindowChange) Layout(c *wire.Coder) {
	c.Uint32(&m.Width)
	c.Uint32(&m.Height)
	c.Uint32(&m.WidthPx)
	c.Uint32(&m.HeightPx)
}

// Env is the data of an env request (RFC 4254 section 6.4).
type Env struct{ Name, Value string }

// Layout implements wire.Layouter.
func (m *Env) Layout(c *wire.Coder) {
	c.String(&m.Name)
	c.String(&m.Value)
}

// Text is the data of a request with one string: exec, subsystem, signal.
type Text struct{ Value string }

// Layout implements wire.Layouter.
func (m *Text) Layout(c *wire.Coder) { c.String(&m.Value) }

// ExitStatus is the data of an exit-status request (RFC 4254 section 6.10).
type ExitStatus struct{ Status uint32 }

// Layout implements wire.Layouter.
func (m *ExitStatus) Layout(c *wire.Coder) { c.Uint32(&m.Status) }

// ExitSignal is the data of an exit-signal request (RFC 4254 section 6.10).
// Signal has no "SIG" in front.
type ExitSignal struct {
	Signal         string
	CoreDumped     bool
	Text, Language string
}

// Layout implements wire.Layouter.
func (m *ExitSignal) Layout(c *wire.Coder) {
	c.String(&m.Signal)
	c.Bool(&m.CoreDumped)
	c.String(&m.Text)
	if c.More(true) {
		c.String(&m.Language)
	}
}

// OldExitSignal is what exit-signal has from implementations before RFC 4254.
type OldExitSignal struct {
	Signal         uint32 // number
	Text, Language string
}

// Layout implements wire.Layouter.
func (m *OldExitSignal) Layout(c *wire.Coder) {
	c.Uint32(&m.Signal)
	if c.More(true) {
		c.String(&m.Text)
	}
	if c.More(true) {
		c.String(&m.Language)
	}
}

// X11Req is the data of an x11-req request (RFC 4254 section 6.3.1).
type X11Req struct {
	Single           bool
	Protocol, Cookie string
	Screen           uint32
}

// Layout implements wire.Layouter.
func (m *X11Req) Layout(c *wire.Coder) {
	c.Bool(&m.Single)
	c.String(&m.Protocol)
	c.String(&m.Cookie)
	c.Uint32(&m.Screen)
}

// X11Open is what an x11 channel adds to CHANNEL_OPEN (RFC 4254 section 6.3.2).
type X11Open struct {
	Addr string
	Port uint32
}

// Layout implements wire.Layouter.
func (m *X11Open) Layout(c *wire.Coder) {
	c.String(&m.Addr)
	c.Uint32(&m.Port)
}

// XonXoff is the data of an xon-xoff request (RFC 4254 section 6.8).
type XonXoff struct{ ClientCanDo bool }

// Layout implements wire.Layouter.
func (m *XonXoff) Layout(c *wire.Coder) { c.Bool(&m.ClientCanDo) }
