package kex

import (
	"crypto"
	"encoding/hex"
	"testing"
)

// Known answers, composed from RFC 4253 §7.2 with another implementation
// (Python's hashlib): K is 00 80 81 ... 9f, H is 00 01 ... 1f, the session id
// 64 65 ... 83.
func TestDeriveKeyKnownAnswers(t *testing.T) {
	count := func(from byte, n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = from + byte(i)
		}
		return b
	}
	k, h, sid := append([]byte{0}, count(0x80, 32)...), count(0, 32), count(100, 32)
	for _, v := range []struct {
		hash   crypto.Hash
		letter byte
		want   string
	}{
		{crypto.SHA256, 'A', "0b09cbaf1e21094a572fbcf9"},
		{crypto.SHA256, 'C', "37a666ffdb2ac2f148f6f4a56955d24699a246c86332b09af7e4af4620c07948"},
		{crypto.SHA256, 'F', "8cf8a25cb78f376573b41b5c0c3c0c29381e23448aca530e97e7458702b5ad87d12bd314416a4c412ca72dea3947b59637c5c1697275294113674230c887614c"},
		{crypto.SHA256, 'D', "dac03ffefb4f044e30586d520e4e2eee62247112c5ee31927e4c68e1681767dfd76420ae59c73dd46779efa7db9752a9cc6d7b6749e5c3bf53e3225bd55bdd33" +
			"0dad7547f6174c32da0996a5884c0e50b76e081ea8fff9a39a1cdbb0b99a25b31fe8cca60b0a640bbcd5c5061c50b55b31259e1b8e50ffbedbc58e3da6358390" +
			"0c04d11178c1638e941a3aecd56547ba223d48b638f4"},
		{crypto.SHA384, 'A', "a7fd4472d38cbc5d3ba27196"},
		{crypto.SHA384, 'C', "b7e35c16d99ec24b901d3b24000a3e04585dbb773467a332055365f392669239"},
		{crypto.SHA384, 'F', "ba6d289aa183353ec89bf3a6d34cb6f5d6d01c51fe93484b6a03f8ad10e2752566424153937870b60476d54c663bb9dba9bb58200e3e0e6f948cc0dc51d30371"},
		{crypto.SHA384, 'D', "b27be18f2716735e6f5994d7c75723d347df9f490f635952e08c2f440a8e6068eea372fd1107a2779c92737babcc56cbe22212e348d07aca95343896cc701560" +
			"1650ef00403f909a80eca5a051d7aba0d7d3816a38f5b2653f67c62c804779dea297cd35eb41566b055d6fa8b40227d3281bd4b2d8fd3c2d31285886b8daf00f" +
			"f4f16994cf4897ca2ae0650873f6da26a1e8cd434723"},
		{crypto.SHA512, 'A', "740d21b9aa2d795e3e412c90"},
		{crypto.SHA512, 'C', "b184b0f6f7c28b59025b233e5928918d08d28877ef087af4c762b6b1ba1d4fce"},
		{crypto.SHA512, 'F', "54406cce5af402136d352b1440d5b144dc5d0e2fe79b13ccc9570831fe6b5ea4a726f85bf85cecc961d31accdb0fa430c476b62d6febfb96e3df8239e71d0fc8"},
		{crypto.SHA512, 'D', "2455ecd43b4afef2782cf77c8d449a18c0f795da8002a0854d7b4981551d5b56c33770d8013b77975e1faa22150035260d0adc1b3ff60af0c937bc8cb911a3da" +
			"ea77d90c3285ad0e450d639fc7eb290d985e1f5cb039277bb005c74cc4c68a97b46b630dcac14bc9927e880c9646b28282dcdddecae3faaed2938fd0eeac837f" +
			"e3daeeb59f78c72d91efba4fa27ab14f8192d26ca48d"},
	} {
		n := len(v.want) / 2
		got := DeriveKey(v.hash, k, h, sid, v.letter, n)
		if hex.EncodeToString(got) != v.want || cap(got) != n {
			t.Errorf("%v %c %d:\n got %x\nwant %s", v.hash, v.letter, n, got, v.want)
		}
		// A shorter key is a prefix: each length up to the longest.
		for m := range n {
			if p := DeriveKey(v.hash, k, h, sid, v.letter, m); hex.EncodeToString(p) != v.want[:2*m] {
				t.Fatalf("%v %c: %d octets are not a prefix", v.hash, v.letter, m)
			}
		}
	}
	if got := DeriveKey(crypto.SHA256, k, h, sid, 'A', -1); len(got) != 0 {
		t.Errorf("negative length: %x", got)
	}
	// Every argument matters.
	base := hex.EncodeToString(DeriveKey(crypto.SHA256, k, h, sid, 'A', 32))
	for what, key := range map[string][]byte{
		"K":          DeriveKey(crypto.SHA256, k[1:], h, sid, 'A', 32),
		"H":          DeriveKey(crypto.SHA256, k, h[1:], sid, 'A', 32),
		"session id": DeriveKey(crypto.SHA256, k, h, sid[1:], 'A', 32),
		"letter":     DeriveKey(crypto.SHA256, k, h, sid, 'B', 32),
		"hash":       DeriveKey(crypto.SHA512, k, h, sid, 'A', 32),
	} {
		if hex.EncodeToString(key) == base {
			t.Errorf("%s does not matter", what)
		}
	}
}
