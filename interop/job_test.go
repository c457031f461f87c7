package interop

// A verb is one thing a client is asked to do on the server.
type verb string

const (
	vList    verb = "list"    // Remote: directory; the names come back in outcome.Listed
	vPut     verb = "put"     // Local to Remote
	vGet     verb = "get"     // Remote to Local
	vPutKeep verb = "putp"    // as put, then the modification time of Local
	vGetKeep verb = "getp"    // as get, then the modification time of Remote
	vReput   verb = "reput"   // Remote has the first part of Local: send the rest
	vReget   verb = "reget"   // Local has the first part of Remote: fetch the rest
	vRename  verb = "rename"  // Remote to To
	vRemove  verb = "rm"      // Remote
	vMkdir   verb = "mkdir"   // Remote
	vRmdir   verb = "rmdir"   // Remote
	vChmod   verb = "chmod"   // Remote gets Mode
	vSymlink verb = "symlink" // Remote becomes a link to To
	vExec    verb = "exec"    // Command runs with Local as stdin; stdout goes to To, status to outcome.Status
)

// A step is one verb with its operands. Remote paths are absolute.
type step struct {
	Verb    verb   `json:"verb"`
	Local   string `json:"local,omitempty"`
	Remote  string `json:"remote,omitempty"`
	To      string `json:"to,omitempty"`
	Mode    uint32 `json:"mode,omitempty"`
	Command string `json:"command,omitempty"`
}

// algorithms restricts what a client offers; an empty field is the client's default.
type algorithms struct {
	Kex     string `json:"kex,omitempty"`
	HostKey string `json:"hostkey,omitempty"`
	Cipher  string `json:"cipher,omitempty"`
	MAC     string `json:"mac,omitempty"`
}

// A job is one connection of a client: where to, as whom, and the steps to take. The scripts under testdata
// read it as JSON on standard input.
type job struct {
	Host       string     `json:"host"`
	Port       int        `json:"port"`
	User       string     `json:"user"`
	Password   string     `json:"password,omitempty"` // password authentication, unless empty
	Key        string     `json:"key,omitempty"`      // else publickey authentication with this OpenSSH private key file
	PPK        string     `json:"-"`                  // the same key in PuTTY's format
	KnownHosts string     `json:"known_hosts"`        // file with the server's host keys and the host CA
	HostKeys   []string   `json:"host_keys"`          // the server's plain host keys, one authorized_keys line each
	Algorithms algorithms `json:"algorithms"`
	RekeyBytes int        `json:"rekey_bytes,omitempty"` // ask for new keys each time that many bytes have passed
	Steps      []step     `json:"steps"`
}

// An outcome is what a client reports of a job.
type outcome struct {
	Listed []string `json:"listed"` // names from list steps
	Rekeys int      `json:"rekeys"` // key exchanges after the first, where the client can tell
	Status int      `json:"status"` // exit status of the last exec step
}
