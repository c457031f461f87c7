package sftp

import (
	"fmt"
	"strconv"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
)

// PFlags are the flags of OPEN in versions 3 and 4 (filexfer-02 §6.3). How makes an OpenHow
// of them, which is what files are opened with.
type PFlags uint32

// The bits of PFlags.
const (
	PRead   PFlags = PFlags(fxp.OpenRead)   // read
	PWrite  PFlags = PFlags(fxp.OpenWrite)  // write
	PAppend PFlags = PFlags(fxp.OpenAppend) // write at the end
	PCreate PFlags = PFlags(fxp.OpenCreate) // make the file if there is none
	PTrunc  PFlags = PFlags(fxp.OpenTrunc)  // empty the file
	PExcl   PFlags = PFlags(fxp.OpenExcl)   // with PCreate: fail if there is one
	PText   PFlags = PFlags(fxp.OpenText)   // translate line ends (version 4)
)

// flagTexts are the texts of C's fopen, with "x" for PExcl. The first of equal ones is how
// flags print.
var flagTexts = []struct {
	text  string
	flags PFlags
}{
	{"r", PRead},
	{"r+", PRead | PWrite},
	{"w", PTrunc | PCreate | PWrite},
	{"wx", PTrunc | PCreate | PWrite | PExcl},
	{"xw", PTrunc | PCreate | PWrite | PExcl},
	{"w+", PTrunc | PCreate | PRead | PWrite},
	{"wx+", PTrunc | PCreate | PRead | PWrite | PExcl},
	{"xw+", PTrunc | PCreate | PRead | PWrite | PExcl},
	{"a", PAppend | PCreate | PWrite},
	{"ax", PAppend | PCreate | PWrite | PExcl},
	{"xa", PAppend | PCreate | PWrite | PExcl},
	{"a+", PAppend | PCreate | PRead | PWrite},
	{"ax+", PAppend | PCreate | PRead | PWrite | PExcl},
	{"xa+", PAppend | PCreate | PRead | PWrite | PExcl},
}

// ParseOpenFlags reads a text such as "r", "r+", "w", "wx", "a" or "a+".
func ParseOpenFlags(text string) (PFlags, error) {
	for i := range flagTexts {
		if flagTexts[i].text == text {
			return flagTexts[i].flags, nil
		}
	}
	return 0, fmt.Errorf("sftp: open flags %q: not one of r, r+, w, wx, w+, wx+, a, ax, a+, ax+", text)
}

// Text returns the text that ParseOpenFlags reads as p, and false if there is none.
func (p PFlags) Text() (string, bool) {
	for i := range flagTexts {
		if flagTexts[i].flags == p {
			return flagTexts[i].text, true
		}
	}
	return "", false
}

// String returns the text, or else the number.
func (p PFlags) String() string {
	if text, ok := p.Text(); ok {
		return text
	}
	return "0x" + strconv.FormatUint(uint64(p), 16)
}

// How returns the OpenHow that means the same.
func (p PFlags) How() (OpenHow, error) {
	return openHow(&fxp.Open{Flags: uint32(p), Attrs: fxp.Attrs{V: fxp.V4}})
}
