package sftp

import (
	"fmt"
	"strings"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
)

// Perm is a set of things that a Policy lets somebody do with a name.
type Perm uint32

// The permissions. ParsePerm and Perm.String name them in text as here, in lower case and without
// Perm, such as "read".
const (
	PermStat     Perm = 1 << iota // see that a name is there, and its attributes; without it a name is hidden
	PermList                      // list a directory
	PermRead                      // read content, and hashes of it
	PermCreate                    // make a file that is not there, and write it
	PermWrite                     // write, truncate or replace a file that is there
	PermMkdir                     // make a directory
	PermRemove                    // remove a file or a link
	PermRmdir                     // remove a directory
	PermRename                    // rename; needed for both names
	PermSetStat                   // set attributes
	PermSymlink                   // make a symlink
	PermHardlink                  // make a hard link; needed for both names
	PermLock                      // lock a file or part of it

	permEnd

	// PermReadOnly is all that changes nothing.
	PermReadOnly = PermStat | PermList | PermRead
	// PermAll is everything.
	PermAll = permEnd - 1
)

// permNames are the permissions in text, which are the groups of operations of
// Policy.Allow and Policy.Deny, too.
var permNames = [...]struct {
	name string
	perm Perm
}{
	{"stat", PermStat},
	{"list", PermList},
	{"read", PermRead},
	{"create", PermCreate},
	{"write", PermWrite},
	{"mkdir", PermMkdir},
	{"remove", PermRemove},
	{"rmdir", PermRmdir},
	{"rename", PermRename},
	{"setstat", PermSetStat},
	{"symlink", PermSymlink},
	{"hardlink", PermHardlink},
	{"lock", PermLock},
	{"readonly", PermReadOnly},
	{"all", PermAll},
	{"none", 0},
}

// permOf returns the permission with a name.
func permOf(name string) (Perm, bool) {
	for i := range permNames {
		if permNames[i].name == name {
			return permNames[i].perm, true
		}
	}
	return 0, false
}

// ParsePerm reads permissions from text: their names, separated by commas or blanks, such as
// "list,stat,read". "readonly", "all" and "none" are names too.
func ParsePerm(text string) (p Perm, err error) {
	words := strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
	if len(words) == 0 {
		return 0, fmt.Errorf("sftp: policy: no permissions in %.40q", text)
	}
	for _, word := range words {
		m, ok := permOf(word)
		if !ok {
			return 0, fmt.Errorf("sftp: policy: unknown permission %.40q: want %s", word, permWords())
		}
		p |= m
	}
	return p, nil
}

// permWords are the names of all permissions.
func permWords() string {
	names := make([]string, len(permNames))
	for i := range permNames {
		names[i] = permNames[i].name
	}
	return strings.Join(names, ", ")
}

// String returns the text that [ParsePerm] reads as p.
func (p Perm) String() string {
	if p&PermAll == 0 {
		return "none"
	}
	if p&PermAll == PermAll {
		return "all"
	}
	var names []string
	for _, row := range permNames {
		if row.perm&(row.perm-1) == 0 && p&row.perm != 0 {
			names = append(names, row.name)
		}
	}
	return strings.Join(names, ",")
}

// MarshalText implements encoding.TextMarshaler.
func (p Perm) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *Perm) UnmarshalText(text []byte) (err error) {
	*p, err = ParsePerm(string(text))
	return err
}

// Has reports whether all of q are there.
func (p Perm) Has(q Perm) bool { return p&q == q }

// gateKind says how the gate in front of a request judges it.
type gateKind uint8

const (
	_         gateKind = iota
	gateNeeds          // by the permissions in the row
	gateFree           // it tells nothing about files, or gives back what it holds
	gateField          // by what is in it, when it reaches the file system
	gateFixed          // never refused: a session is none without it
)

// gates has how every request is judged, by row of the message table, before anything of it
// is looked at. A row without an entry is refused wherever there is a policy at all.
var gates = [fxp.OpCount]struct {
	kind  gateKind
	anyOf Perm // one of these must be allowed somewhere
}{
	fxp.OpInit:  {kind: gateFixed},
	fxp.OpClose: {kind: gateFixed},

	fxp.OpOpen:     {kind: gateField},
	fxp.OpRead:     {gateNeeds, PermRead},
	fxp.OpWrite:    {gateNeeds, PermWrite | PermCreate},
	fxp.OpLstat:    {gateNeeds, PermStat},
	fxp.OpFstat:    {gateNeeds, PermStat | PermRead | PermWrite | PermCreate}, // whoever has a handle may
	fxp.OpSetstat:  {gateNeeds, PermSetStat | PermWrite},                      // the size is content
	fxp.OpFsetstat: {gateNeeds, PermSetStat | PermWrite | PermCreate},
	fxp.OpOpendir:  {gateNeeds, PermList},
	fxp.OpReaddir:  {gateNeeds, PermList},
	fxp.OpRemove:   {gateNeeds, PermRemove},
	fxp.OpMkdir:    {gateNeeds, PermMkdir},
	fxp.OpRmdir:    {gateNeeds, PermRmdir},
	fxp.OpRealpath: {kind: gateField},
	fxp.OpStat:     {gateNeeds, PermStat},
	fxp.OpRename:   {gateNeeds, PermRename},
	fxp.OpReadlink: {gateNeeds, PermStat},
	fxp.OpSymlink:  {gateNeeds, PermSymlink},
	fxp.OpLink:     {gateNeeds, PermSymlink | PermHardlink},
	fxp.OpBlock:    {gateNeeds, PermLock},
	fxp.OpUnblock:  {kind: gateFree},

	fxp.OpPosixRename:         {gateNeeds, PermRename},
	fxp.OpStatVFS:             {gateNeeds, PermStat},
	fxp.OpFstatVFS:            {gateNeeds, PermStat | PermRead | PermWrite | PermCreate},
	fxp.OpHardlink:            {gateNeeds, PermHardlink},
	fxp.OpFsync:               {gateNeeds, PermWrite | PermCreate},
	fxp.OpLsetstat:            {gateNeeds, PermSetStat},
	fxp.OpLimits:              {kind: gateFree},
	fxp.OpExpandPath:          {kind: gateField},
	fxp.OpCopyData:            {gateNeeds, PermWrite | PermCreate},
	fxp.OpHomeDirectory:       {kind: gateFree},
	fxp.OpUsersGroupsByID:     {gateNeeds, PermStat},
	fxp.OpCheckFileName:       {gateNeeds, PermRead},
	fxp.OpCheckFileHandle:     {gateNeeds, PermRead},
	fxp.OpMD5Hash:             {gateNeeds, PermRead},
	fxp.OpMD5HashHandle:       {gateNeeds, PermRead},
	fxp.OpCopyFile:            {gateNeeds, PermWrite | PermCreate},
	fxp.OpSpaceAvailable:      {gateNeeds, PermStat},
	fxp.OpTextSeek:            {gateNeeds, PermRead | PermWrite | PermCreate},
	fxp.OpVersionSelect:       {kind: gateFree},
	fxp.OpVendorID:            {kind: gateFree},
	fxp.OpFilenameTranslation: {kind: gateFree},
	fxp.OpGetTempFolder:       {gateNeeds, PermStat},
	fxp.OpMakeTempFolder:      {gateNeeds, PermMkdir},
	fxp.OpExtended:            {kind: gateField},
}

// opNamed returns the request with a name of the message table.
func opNamed(name string) (fxp.Op, bool) {
	for _, row := range fxp.Rows() {
		if row.Name == name && row.Reply != 0 && name != "" {
			return row.Op, true
		}
	}
	return fxp.OpNone, false
}
