package sftpserver

import (
	"slices"
	"testing"
)

// FuzzPrompts: prompts that were read are written so that the same are read again.
func FuzzPrompts(f *testing.F) {
	for _, s := range []string{"", "First prompt,echo=false;Second prompt,echo=true", "a", ";", "a,echo=", "a, ECHO = on ;b,c", ",echo=1", "a,echo=1,echo=0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var list, again promptList
		if list.UnmarshalText([]byte(text)) != nil {
			return
		}
		written, err := list.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		if err := again.UnmarshalText(written); err != nil || !slices.Equal(list, again) {
			t.Fatalf("%q is %+v, written %q, read %+v, %v", text, list, written, again, err)
		}
		for _, p := range list {
			if p.Text == "" {
				t.Fatalf("%q has a prompt without a text", text)
			}
		}
	})
}
