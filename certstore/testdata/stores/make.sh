#!/usr/bin/env bash
# Makes the fixtures below this directory anew: OpenSSL 3.0 with its legacy provider, a JDK 17 (keytool, java),
# libnss3-tools, Bouncy Castle 1.78 (bcprov-jdk18on) as $BCPROV and its
# FIPS library 2.1 (bc-fips) as $BCFIPS. All passwords are "testing" unless the name says otherwise.
set -euo pipefail
export LC_ALL=C.UTF-8
cd "$(dirname "$0")"
rm -rf p7b jks bcfks pfx/[!r]* && mkdir -p pfx p7b jks bcfks # the vectors of RFC 9579 stay in pfx
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
legacy=(-provider legacy -provider default)
pass=(-passout pass:testing)

# A CA, one below it, and three servers of the latter.
openssl ecparam -name prime256v1 -genkey -noout -out "$tmp/ca.key"
openssl req -x509 -new -key "$tmp/ca.key" -days 36500 -subj '/CN=Fairlead test CA' -out ca.crt
openssl ecparam -name prime256v1 -genkey -noout -out "$tmp/sub.key"
openssl req -new -key "$tmp/sub.key" -subj '/CN=Fairlead test issuer' |
	openssl x509 -req -CA ca.crt -CAkey "$tmp/ca.key" -days 36500 -set_serial 2 -extfile <(printf 'basicConstraints=critical,CA:true\nsubjectKeyIdentifier=hash\n') -out issuer.crt 2>/dev/null
openssl genrsa -out "$tmp/rsa.key" 2048 2>/dev/null
openssl ecparam -name secp384r1 -genkey -noout -out "$tmp/ec.key"
openssl genpkey -algorithm ed25519 -out "$tmp/ed.key"
openssl genpkey -genparam -algorithm DSA -pkeyopt dsa_paramgen_bits:1024 -pkeyopt dsa_paramgen_q_bits:160 -out "$tmp/dsa.params" 2>/dev/null
openssl genpkey -paramfile "$tmp/dsa.params" -out "$tmp/dsa.key"
for k in rsa ec ed dsa; do
	openssl req -new -key "$tmp/$k.key" -subj "/CN=$k.example.com" |
		openssl x509 -req -CA issuer.crt -CAkey "$tmp/sub.key" -days 36500 -set_serial $RANDOM -extfile <(printf 'subjectAltName=DNS:%s.example.com\n' $k) -out $k.crt 2>/dev/null
	openssl pkcs8 -topk8 -nocrypt -in "$tmp/$k.key" -outform DER -out $k.pkcs8
done
cat issuer.crt ca.crt >"$tmp/chain.pem"

p12() { local out=$1 k=$2; shift 2; openssl pkcs12 -export -inkey "$tmp/$k.key" -in $k.crt -certfile "$tmp/chain.pem" -name "$k key" "${pass[@]}" "${legacy[@]}" "$@" -out "pfx/$out.p12"; }
p12 modern rsa
p12 modern-ec ec -macalg sha512
p12 modern-ed ed -macalg sha384
p12 mac-sha224 ec -macalg sha224
p12 mac-sha512-224 ec -macalg sha512-224
p12 mac-sha512-256 ec -macalg sha512-256
p12 legacy rsa -legacy
p12 no-mac ec -nomac
p12 in-clear ec -keypbe NONE -certpbe NONE -nomac
p12 in-clear-mac ec -keypbe NONE -certpbe NONE
p12 dsa dsa -descert -macalg sha1
p12 aes128-sha1 ec -keypbe AES-128-CBC -certpbe AES-128-CBC -macalg sha1
p12 csp ec -CSP 'Microsoft Enhanced Cryptographic Provider v1.0' -LMK
for s in RC4-128 RC4-40 3DES 2DES RC2-128 RC2-40; do p12 "PBE-SHA1-$s" ec -keypbe "PBE-SHA1-$s" -certpbe "PBE-SHA1-$s" -macalg sha1; done
openssl pkcs12 -export -nokeys -in ca.crt -certfile issuer.crt "${pass[@]}" -out pfx/certificates-only.p12
openssl pkcs12 -export -inkey "$tmp/ec.key" -in ec.crt -name 'empty password' -passout pass: -out pfx/empty-password.p12
openssl pkcs12 -export -inkey "$tmp/ec.key" -in ec.crt -name 'umlaut' -passout pass:$'gr\u00fc\u00dfe' -macalg sha256 -out pfx/unicode-password.p12
openssl pkcs12 -export -inkey "$tmp/ec.key" -in ec.crt -name 'beyond' -passout pass:$'\U0001f511' -macalg sha256 -out pfx/emoji-password.p12
openssl pkcs12 -export -inkey "$tmp/ec.key" -in ec.crt -name 'latin 1' -passout pass:$'\xe9t\xe9' -keypbe PBE-SHA1-3DES -certpbe PBE-SHA1-3DES -macalg sha256 -out pfx/latin1-password.p12
openssl pkcs12 -export -inkey "$tmp/ec.key" -in ec.crt -nocerts "${pass[@]}" -out pfx/key-only.p12

# Java's own, with two keys and a trusted certificate; old algorithms on request.
kt() { keytool -J-Duser.language=en "$@" 2>/dev/null >/dev/null; }
java_store() {
	local out=$1 type=$2; shift 2
	kt -importkeystore -srckeystore pfx/modern.p12 -srcstorepass testing -srcalias 'rsa key' -destkeystore "$out" -deststoretype "$type" -deststorepass testing -destkeypass "${KEYPASS:-testing}" -destalias rsa -noprompt "$@"
	kt -importkeystore -srckeystore pfx/modern-ec.p12 -srcstorepass testing -srcalias 'ec key' -destkeystore "$out" -deststoretype "$type" -deststorepass testing -destkeypass testing -destalias ec -noprompt "$@"
	kt -importcert -alias root -file ca.crt -keystore "$out" -storetype "$type" -storepass testing -noprompt "$@"
}
java_store pfx/java.p12 PKCS12
java_store pfx/java-legacy.p12 PKCS12 -J-Dkeystore.pkcs12.legacy
java_store jks/two-keys.jks JKS
java_store jks/two-keys.jceks JCEKS
KEYPASS=other-one java_store jks/key-password.jks JKS
KEYPASS=other-one java_store jks/key-password.jceks JCEKS
kt -importcert -alias root -file ca.crt -keystore jks/certificate-only.jks -storetype JKS -storepass testing -noprompt
kt -importcert -alias root -file ca.crt -keystore jks/certificate-only.jceks -storetype JCEKS -storepass testing -noprompt
cp jks/two-keys.jceks jks/secret-key.jceks
kt -genseckey -alias secret -keyalg AES -keysize 128 -keystore jks/secret-key.jceks -storetype JCEKS -storepass testing -keypass testing

# NSS.
if command -v certutil >/dev/null; then
	mkdir "$tmp/nss" && printf testing >"$tmp/pw"
	certutil -N -d "$tmp/nss" -f "$tmp/pw"
	pk12util -i pfx/modern.p12 -d "$tmp/nss" -k "$tmp/pw" -W testing >/dev/null
	pk12util -o pfx/nss.p12 -n 'rsa key' -d "$tmp/nss" -k "$tmp/pw" -W testing >/dev/null
fi

# PKCS #7: certificates alone, and signed data that carries them, also in BER.
openssl crl2pkcs7 -nocrl -certfile ec.crt -certfile issuer.crt -certfile ca.crt -outform DER -out p7b/certs.p7b
openssl crl2pkcs7 -nocrl -certfile ec.crt -certfile issuer.crt -certfile ca.crt -out p7b/certs.pem
printf 'some text\n' | openssl cms -sign -signer rsa.crt -inkey "$tmp/rsa.key" -certfile "$tmp/chain.pem" -nodetach -outform DER -out p7b/signed.p7b
printf 'some text\n' | openssl cms -sign -signer rsa.crt -inkey "$tmp/rsa.key" -certfile "$tmp/chain.pem" -nodetach -stream -binary -outform DER -out p7b/signed-ber.p7b
printf 'some text\n' | openssl cms -encrypt -outform DER -out p7b/enveloped.p7b rsa.crt
openssl ca -gencrl -keyfile "$tmp/ca.key" -cert ca.crt -crldays 36500 -config <(printf '[ca]\ndefault_ca=d\n[d]\ndatabase=%s\ndefault_md=sha256\n' "$tmp/db") -out "$tmp/crl.pem" 2>/dev/null || { : >"$tmp/db"; openssl ca -gencrl -keyfile "$tmp/ca.key" -cert ca.crt -crldays 36500 -config <(printf '[ca]\ndefault_ca=d\n[d]\ndatabase=%s\ndefault_md=sha256\n' "$tmp/db") -out "$tmp/crl.pem" 2>/dev/null; }
openssl crl2pkcs7 -in "$tmp/crl.pem" -certfile ca.crt -outform DER -out p7b/with-crl.p7b

# Bouncy Castle: PKCS #12 in BER, and its own stores.
java -cp "$BCPROV" Stores.java
java -cp "$BCFIPS" Fips.java
