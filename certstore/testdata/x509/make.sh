#!/bin/sh
# Makes the files of this directory: see README.md.
set -eu
cd "$(dirname "$0")"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

cat >"$tmp/conf" <<'C'
[req]
distinguished_name = dn
prompt = no
utf8 = yes
string_mask = utf8only
[dn]
C = US
ST = Illinois
L = Springfield
O = Example, Inc.
OU = test
CN = www.server.com
emailAddress = support@example.com
[leaf]
basicConstraints = CA:FALSE
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
keyUsage = digitalSignature, nonRepudiation, keyEncipherment, dataEncipherment, keyAgreement, keyCertSign, cRLSign, encipherOnly
extendedKeyUsage = serverAuth, 1.3.6.1.5.5.7.3.22
subjectAltName = DNS:www.server.com, DNS:sftp.server.com, email:support@example.com, IP:192.0.2.7, IP:2001:db8::7, URI:https://www.server.com/a
[ca]
basicConstraints = critical, CA:TRUE
subjectKeyIdentifier = hash
keyUsage = keyCertSign
[mid]
basicConstraints = critical, CA:TRUE
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
keyUsage = keyCertSign, cRLSign
[small]
keyUsage = digitalSignature
C

ec() { openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" 2>/dev/null || openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1"; }
sign() { # csr issuer section out
	openssl x509 -req -in "$1" -CA "$tmp/$2.crt" -CAkey "$tmp/$2.key" -set_serial "$5" -days 36500 -sha256 -extfile "$tmp/conf" -extensions "$3" -out "$4"
}

ec "$tmp/root.key"
openssl req -new -x509 -config "$tmp/conf" -extensions ca -key "$tmp/root.key" -subj "/C=US/O=Fairlead/CN=Test Root" -set_serial 1 -days 36500 -out "$tmp/root.crt"
ec "$tmp/mid.key"
openssl req -new -config "$tmp/conf" -key "$tmp/mid.key" -subj "/C=US/O=Fairlead/CN=Test Issuer" -out "$tmp/mid.csr"
sign "$tmp/mid.csr" root mid "$tmp/mid.crt" 2
cp "$tmp/root.crt" root.crt
cp "$tmp/mid.crt" issuer.crt

openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out leaf.key
openssl req -new -config "$tmp/conf" -key leaf.key -out "$tmp/leaf.csr"
sign "$tmp/leaf.csr" mid leaf leaf.crt 0x00a1b2c3d4e5f60718
openssl x509 -in leaf.crt -trustout -addtrust serverAuth -setalias "a leaf" -out leaf.trusted
openssl x509 -in leaf.crt -outform DER -out leaf.der
openssl rsa -in leaf.key -aes128 -passout pass:testing -out leaf.enc -traditional

ec other.key
openssl req -new -config "$tmp/conf" -key other.key -subj "/CN=other.server.com+serialNumber=17/O=Second" -multivalue-rdn -out "$tmp/other.csr"
sign "$tmp/other.csr" mid small other.crt 3

# Without extensions this is a certificate of version 1.
openssl req -new -config "$tmp/conf" -key other.key -subj "/CN=old" -out "$tmp/old.csr"
openssl x509 -req -in "$tmp/old.csr" -CA "$tmp/mid.crt" -CAkey "$tmp/mid.key" -set_serial 4 -days 36500 -sha1 -out old.crt

# A key that SSH does not have, by a signature algorithm without a name in Go.
openssl genpkey -algorithm ED448 -out "$tmp/ed448.key"
openssl req -new -x509 -config "$tmp/conf" -extensions small -key "$tmp/ed448.key" -subj "/CN=ed448" -set_serial 5 -days 36500 -out ed448.crt

{
	openssl x509 -in leaf.crt -noout -fingerprint -md5
	openssl x509 -in leaf.crt -noout -fingerprint -sha1
	openssl x509 -in leaf.crt -noout -fingerprint -sha256
	openssl x509 -in leaf.crt -noout -serial -dates -dateopt iso_8601 -subject -issuer -nameopt RFC2253
	ssh-keygen -i -m PKCS8 -f /dev/stdin <<-K >"$tmp/leaf.pub"
	$(openssl pkey -in leaf.key -pubout)
	K
	for h in md5 sha1 sha256; do ssh-keygen -l -E $h -f "$tmp/leaf.pub"; done
} >leaf.txt
