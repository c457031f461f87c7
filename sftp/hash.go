package sftp

import (
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"hash"
	"hash/crc32"
	"io"

	"github.com/fairlead-ssh/fairlead/packet"
)

// hashes are the algorithms of check-file, by the names that requests use. Which of them is
// good enough is for who asks to say: the list in a request is in order of preference.
var hashes = []struct {
	name string
	new  func() hash.Hash
}{
	{"md5", md5.New},
	{"sha1", sha1.New},
	{"sha224", sha256.New224},
	{"sha256", sha256.New},
	{"sha384", sha512.New384},
	{"sha512", sha512.New},
	{"crc32", func() hash.Hash { return crc32.NewIEEE() }},
}

// hashByName returns the first algorithm of a list that is known.
func hashByName(list []string) (name string, h hash.Hash) {
	for _, want := range list {
		for i := range hashes {
			if hashes[i].name == want {
				return want, hashes[i].new()
			}
		}
	}
	return "", nil
}

const (
	// minHashBlock is the smallest block that check-file takes.
	minHashBlock = 256
	// hashChunk is what is read at a time, and between two looks at the context.
	hashChunk = 128 << 10
)

var errHashReply = Status(CodeFailure, "reply too long: ask for larger blocks")

// hashBlocks returns the hash of each block of the next n octets of src, or one hash of all
// of them with block 0. If the source ends early the last block is short. It uses constant
// memory, and gives up rather than answer more than limit octets.
func hashBlocks(ctx context.Context, src io.Reader, n, block int64, h hash.Hash, limit int) (sums []byte, err error) {
	one := block == 0
	if one {
		block = n
	}
	for more := true; more; {
		if len(sums)+h.Size() > limit {
			return nil, errHashReply
		}
		want := min(block, n)
		got, err := copyContext(ctx, h, src, want)
		if err != nil {
			return nil, err
		}
		n -= got
		more = n > 0 && got == want
		if got > 0 || one {
			sums = h.Sum(sums)
			h.Reset()
		}
	}
	return sums, nil
}

// copyContext copies up to n octets, and returns how many there were.
func copyContext(ctx context.Context, dst io.Writer, src io.Reader, n int64) (got int64, err error) {
	b := packet.Get(int(min(hashChunk, max(n, 0))))
	defer b.Release()
	for got < n {
		if err := ctx.Err(); err != nil {
			return got, err
		}
		m, err := io.ReadFull(src, b.Bytes()[:min(int64(b.Len()), n-got)])
		if _, werr := dst.Write(b.Bytes()[:m]); werr != nil {
			return got, werr
		}
		got += int64(m)
		switch err {
		case nil:
		case io.EOF, io.ErrUnexpectedEOF:
			return got, nil
		default:
			return got, err
		}
	}
	return got, nil
}
