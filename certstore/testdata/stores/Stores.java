import java.io.*;
import java.nio.file.*;
import java.security.*;
import java.security.cert.*;
import java.security.spec.PKCS8EncodedKeySpec;
import org.bouncycastle.crypto.util.*;
import org.bouncycastle.jcajce.BCFKSLoadStoreParameter;
import org.bouncycastle.jce.provider.BouncyCastleProvider;
import javax.crypto.spec.SecretKeySpec;

/** Makes the stores of Bouncy Castle from the keys and certificates beside it; see make.sh. */
public class Stores {
    static final char[] PASS = "testing".toCharArray();

    static void fill(KeyStore s, char[] rsaPass) throws Exception {
        CertificateFactory f = CertificateFactory.getInstance("X.509");
        java.security.cert.Certificate[] c = new java.security.cert.Certificate[4];
        String[] names = {"rsa", "ec", "issuer", "ca"};
        for (int i = 0; i < 4; i++) c[i] = f.generateCertificate(new FileInputStream(names[i] + ".crt"));
        PrivateKey rsa = KeyFactory.getInstance("RSA").generatePrivate(new PKCS8EncodedKeySpec(Files.readAllBytes(Path.of("rsa.pkcs8"))));
        PrivateKey ec = KeyFactory.getInstance("EC").generatePrivate(new PKCS8EncodedKeySpec(Files.readAllBytes(Path.of("ec.pkcs8"))));
        s.setKeyEntry("rsa", rsa, rsaPass, new java.security.cert.Certificate[] {c[0], c[2], c[3]});
        s.setKeyEntry("ec", ec, PASS, new java.security.cert.Certificate[] {c[1], c[2], c[3]});
        s.setCertificateEntry("root", c[3]);
    }

    static void write(KeyStore s, String name) throws Exception {
        try (OutputStream o = new FileOutputStream(name)) {
            s.store(o, PASS);
        }
    }

    static void bcfks(String name, PBKDFConfig kdf, BCFKSLoadStoreParameter.EncryptionAlgorithm enc, BCFKSLoadStoreParameter.MacAlgorithm mac) throws Exception {
        KeyStore s = KeyStore.getInstance("BCFKS", "BC");
        s.load(null, null);
        fill(s, PASS);
        try (OutputStream o = new FileOutputStream("bcfks/" + name + ".bcfks")) {
            s.store(new BCFKSLoadStoreParameter.Builder(o, PASS).withStorePBKDFConfig(kdf).withStoreEncryptionAlgorithm(enc).withStoreMacAlgorithm(mac).build());
        }
    }

    public static void main(String[] args) throws Exception {
        Security.addProvider(new BouncyCastleProvider());
        KeyStore p12 = KeyStore.getInstance("PKCS12", "BC");
        p12.load(null, null);
        fill(p12, PASS);
        write(p12, "pfx/bouncy-castle.p12");

        for (String n : new String[] {"default", "key-password", "secret-key"}) {
            KeyStore s = KeyStore.getInstance("BCFKS", "BC");
            s.load(null, null);
            fill(s, n.equals("key-password") ? "other-one".toCharArray() : PASS);
            if (n.equals("secret-key")) s.setKeyEntry("secret", new SecretKeySpec(new byte[16], "AES"), PASS, null);
            write(s, "bcfks/" + n + ".bcfks");
        }
        PBKDFConfig sha512 = new PBKDF2Config.Builder().withIterationCount(1024).withPRF(PBKDF2Config.PRF_SHA512).withSaltLength(64).build();
        PBKDFConfig sha3 = new PBKDF2Config.Builder().withIterationCount(1024).withPRF(PBKDF2Config.PRF_SHA3_512).withSaltLength(64).build();
        PBKDFConfig scrypt = new ScryptConfig.Builder(1024, 8, 1).withSaltLength(20).build();
        bcfks("ccm-sha512", sha512, BCFKSLoadStoreParameter.EncryptionAlgorithm.AES256_CCM, BCFKSLoadStoreParameter.MacAlgorithm.HmacSHA512);
        bcfks("kwp-sha3", sha3, BCFKSLoadStoreParameter.EncryptionAlgorithm.AES256_KWP, BCFKSLoadStoreParameter.MacAlgorithm.HmacSHA3_512);
        bcfks("scrypt", scrypt, BCFKSLoadStoreParameter.EncryptionAlgorithm.AES256_CCM, BCFKSLoadStoreParameter.MacAlgorithm.HmacSHA512);

        KeyPair kp = new KeyPair(
            java.security.cert.CertificateFactory.getInstance("X.509").generateCertificate(new FileInputStream("ec.crt")).getPublicKey(),
            KeyFactory.getInstance("EC", "BC").generatePrivate(new PKCS8EncodedKeySpec(Files.readAllBytes(Path.of("ec.pkcs8")))));
        KeyStore s = KeyStore.getInstance("BCFKS", "BC");
        s.load(null, null);
        fill(s, PASS);
        try (OutputStream o = new FileOutputStream("bcfks/signed.bcfks")) {
            s.store(new BCFKSLoadStoreParameter.Builder(o, kp.getPrivate()).withStorePBKDFConfig(sha512).withStoreSignatureAlgorithm(BCFKSLoadStoreParameter.SignatureAlgorithm.SHA512withECDSA).build());

        }
    }
}
