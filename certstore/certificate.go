package certstore

// A Certificate is a key with what a store has about it: an X.509 certificate
// with or without its private key, or a key alone. The zero value is empty: its
// fields are empty and it signs nothing. It does not change and may be used
// concurrently.
type Certificate struct {
	e        Entry
	typ      Type
	location string
	index    int
}

// Entry returns what the store holds. The slices and what the pointers lead to
// are shared and must not be changed.
func (c *Certificate) Entry() Entry { return c.e }
