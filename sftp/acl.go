package sftp

// ACL is an access control list (filexfer-13 §7.8, filexfer-04 §5.7; the entries are those
// of NFS version 4, RFC 3010 §5.9).
type ACL struct {
	// Flags say which entries are meant. They exist in version 6; what versions 4 and 5
	// send has ACLControlIncluded and ACLControlPresent, and ACLAuditAlarmIncluded if
	// there are such entries.
	Flags ACLFlags
	// Entries apply in order. A peer can send at most 4096.
	Entries []ACE
}

// ACE is one entry of an ACL.
type ACE struct {
	Type  ACEType  // what it does
	Flags ACEFlags // when it applies and who inherits it
	Mask  Access   // to which kinds of access
	// Who is a user or group, "name" or "name@domain", or one of the special names such
	// as [WhoOwner].
	Who string
}

// ACEType is what an entry does; values as on the wire.
type ACEType uint32

// The types of entries.
const (
	ACEAllow ACEType = 0 // ACE4_ACCESS_ALLOWED_ACE_TYPE
	ACEDeny  ACEType = 1 // ACE4_ACCESS_DENIED_ACE_TYPE
	ACEAudit ACEType = 2 // ACE4_SYSTEM_AUDIT_ACE_TYPE: the access is logged
	ACEAlarm ACEType = 3 // ACE4_SYSTEM_ALARM_ACE_TYPE: the access raises an alarm
)

// ACEFlags are the flags of an entry; values as on the wire.
type ACEFlags uint32

// The bits of ACEFlags.
const (
	ACEFileInherit        ACEFlags = 0x01 // files made in this directory inherit it
	ACEDirectoryInherit   ACEFlags = 0x02 // directories made in this directory inherit it
	ACENoPropagateInherit ACEFlags = 0x04 // and what is made in those does not
	ACEInheritOnly        ACEFlags = 0x08 // it does not apply to this directory
	ACESuccessfulAccess   ACEFlags = 0x10 // audit and alarm: of what was allowed
	ACEFailedAccess       ACEFlags = 0x20 // audit and alarm: of what was denied
	ACEIdentifierGroup    ACEFlags = 0x40 // Who is a group
)

// ACLFlags are the flags of an ACL of version 6; values as on the wire.
type ACLFlags uint32

// The bits of ACLFlags.
const (
	// ACLControlIncluded: the ALLOW and DENY entries are meant; a SETSTAT without it
	// leaves them alone.
	ACLControlIncluded ACLFlags = 0x01
	// ACLControlPresent: there are such entries; a SETSTAT without it removes them.
	ACLControlPresent ACLFlags = 0x02
	// ACLControlInherited: such entries may come from the directory above.
	ACLControlInherited ACLFlags = 0x04
	// ACLAuditAlarmIncluded: the AUDIT and ALARM entries are meant.
	ACLAuditAlarmIncluded ACLFlags = 0x10
	// ACLAuditAlarmInherited: such entries may come from the directory above.
	ACLAuditAlarmInherited ACLFlags = 0x20
)

// The special names in an ACE's Who, which stand for no single user or group.
const (
	WhoOwner         = "OWNER@"
	WhoGroup         = "GROUP@"
	WhoEveryone      = "EVERYONE@"
	WhoInteractive   = "INTERACTIVE@"   // from a terminal
	WhoNetwork       = "NETWORK@"       // from the network
	WhoDialup        = "DIALUP@"        // through a dialup line
	WhoBatch         = "BATCH@"         // from a batch job
	WhoAnonymous     = "ANONYMOUS@"     // without authentication
	WhoAuthenticated = "AUTHENTICATED@" // with it
	WhoService       = "SERVICE@"       // from a system service
)

// ACLCapabilities say which ACLs a server can keep; values as in the announcement
// acl-supported of version 6 (filexfer-13 §5.4).
type ACLCapabilities uint32

// The bits of ACLCapabilities.
const (
	ACLCanAllow             ACLCapabilities = 0x01 // ACEAllow
	ACLCanDeny              ACLCapabilities = 0x02 // ACEDeny
	ACLCanAudit             ACLCapabilities = 0x04 // ACEAudit
	ACLCanAlarm             ACLCapabilities = 0x08 // ACEAlarm
	ACLCanInheritAccess     ACLCapabilities = 0x10 // ACLControlInherited
	ACLCanInheritAuditAlarm ACLCapabilities = 0x20 // ACLAuditAlarmInherited
)
