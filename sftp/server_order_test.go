package sftp_test

import (
	"context"
	"testing"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
	"github.com/fairlead-ssh/fairlead/sftp"
)

// unevenFS has one file whose storage answers some requests quickly and others slowly.
type unevenFS struct{ sftp.Unsupported }

type unevenFile struct{ sftp.UnsupportedFile }

func (unevenFS) Open(context.Context, string, *sftp.OpenHow) (sftp.File, error) {
	return unevenFile{}, nil
}

// wait is long for some offsets and short for their neighbours, by play's fake clock.
func (unevenFile) wait(off int64) {
	<-time.After(time.Duration(off/1000*7919%13) * time.Millisecond)
}

func (f unevenFile) ReadAt(p []byte, off int64) (int, error)  { f.wait(off); return len(p), nil }
func (f unevenFile) WriteAt(p []byte, off int64) (int, error) { f.wait(off); return len(p), nil }
func (unevenFile) Close(error) error                          { return nil }

// TestAnswersInOrder holds that READ and WRITE are answered in the order of the requests
// however long each takes: scp, psftp and pscp lose data otherwise.
func TestAnswersInOrder(t *testing.T) {
	play(t, serverOf(unevenFS{}), sftp.SessionInfo{}, func(p *peer) {
		p.init(3)
		h := p.open("f", fxp.OpenRead|fxp.OpenWrite)
		var batch []fxp.Message
		for i := range 200 {
			off := uint64(i) * 1000
			if i/20%2 == 0 { // stretches of either, long enough to run beside each other
				batch = append(batch, &fxp.Read{Handle: h, Offset: off, Length: uint32(1 + i*300%5000)})
			} else {
				batch = append(batch, &fxp.Write{Handle: h, Offset: off, Data: make([]byte, 1000)})
			}
		}
		first := p.sendAll(batch...)
		for i := range batch {
			if id, _ := p.recv(); id != first+uint32(i) {
				t.Fatalf("answer %d is to request %d", i, id-first)
			}
		}
	})
}
