module github.com/fairlead-ssh/fairlead/interop

go 1.26.0

require (
	github.com/fairlead-ssh/fairlead v0.0.0-00010101000000-000000000000
	github.com/pkg/sftp v1.13.12
	golang.org/x/crypto v0.58.0
)

require (
	github.com/kr/fs v0.1.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
)

replace github.com/fairlead-ssh/fairlead => ../
