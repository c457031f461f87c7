// Package lint holds the rules of this repository as Go tests.
//
// golangci-lint checks what holds for Go code in general; this package checks
// what is true of this repository only: which package may import which (the
// floors), what may not be called where, that every exported name is
// documented, that decision records are numbered and short, and that every row
// of the two parity inventories is accounted for. It parses the source tree of
// the main module and of interop/ directly, so build tags hide nothing.
//
// It sits outside the floors: it imports nothing of the module and nothing
// imports it. A rule is a row of a table (see [Rule]) and carries samples that
// must fail and samples that must pass, so a rule that has stopped working
// fails its own test.
//
// The parity page is generated:
//
//	go test ./internal/lint -run Parity -update                # write docs/parity.md
//	go test ./internal/lint -run Parity -apply /path/to/patch  # change many rows, then write it
package lint
