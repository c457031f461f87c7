// Package interop drives real SSH and SFTP programs against a server and writes down who can do what.
//
// Nothing here plays a peer: OpenSSH, PuTTY, Paramiko, AsyncSSH, Apache MINA SSHD, JSch, sshj, curl, lftp, rclone, sshfs,
// node's ssh2, Ruby's Net::SSH and Net::SFTP, PHP's phpseclib, Perl's Net::SSH2 (libssh2), ProFTPD, Erlang/OTP's ssh
// (Debian: erlang-base, erlang-ssh), Twisted Conch, libssh and libssh2 in Python, and x/crypto/ssh with pkg/sftp are run
// as their users run them, and every result is checked in the server's own directory, byte by byte.
//
// The tests print tables, first of all: TestMatrix the clients and operations, TestAlgorithms the clients and
// algorithms. The tests named TestOwnClient turn it round: our client against OpenSSH's sshd and AsyncSSH's server.
// TestSFTPClients, TestSFTPServers and TestStdioVersions have one table each of SFTP's versions 3 to 6: other people's
// clients at our server, our client at other people's servers (ProFTPD: Debian's proftpd-core, proftpd-mod-crypto),
// and other people's clients at sshd with our server as its subsystem. A reason in such a table says what the peer lacks or
// does otherwise; one that no longer holds fails.
// TestGSSOpenSSHClient and TestGSSOwnClient log in by tickets of MIT's KDC (Debian: krb5-kdc, krb5-admin-server, krb5-user),
// with OpenSSH as Debian patches it.
// TestSoftHSM uses keys in a token of SoftHSM through PKCS#11 (Debian: softhsm2, opensc).
// Of the libraries, Ruby's are Debian's ruby-net-sftp and ruby-ed25519, PHP's php-cli, php-phpseclib3 and php-gmp (without
// which its key exchanges take many seconds), Perl's libnet-ssh2-perl; JSch and sshj come with MINA's jars.
// Package bench, below, compares our server's speed with that of x/crypto/ssh and pkg/sftp.
//
//	go test ./...            # in this directory; -short moves 64 MiB instead of 1 GiB
//
// Environment:
//
//	FAIRLEAD_INTEROP_SERVER  fairlead (default) or openssh: the same tests against OpenSSH's sshd, which tells
//	                         a peer's own quirk from a bug of ours. Needs Linux, root and an installed sshd,
//	                         and so do the tests of our client, which count sshd as missing where it cannot run.
//	FAIRLEAD_PEERS_PY        python executable that has paramiko, asyncssh, ssh-audit, twisted[conch], ssh-python and
//	                         ssh2-python (default python3)
//	FAIRLEAD_PEERS_NODE      a node_modules directory with ssh2 (default: found as node finds it)
//	FAIRLEAD_PEERS_MINA      directory of the jars that testdata/mina/pom.xml names, JSch's and sshj's too (without: missing)
//	FAIRLEAD_REQUIRE_PEERS   1: a client that is not installed fails its tests instead of leaving a gap in the table
//	FAIRLEAD_MATRIX_OUT      file to append the tables to, as Markdown
//	FAIRLEAD_INTEROP_TMP     scratch directory (default /dev/shm where there is room, else the system's)
package interop
