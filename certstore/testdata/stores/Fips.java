import java.io.*;
import java.nio.file.*;
import java.security.*;
import java.security.cert.*;
import java.security.spec.PKCS8EncodedKeySpec;
import org.bouncycastle.jcajce.provider.BouncyCastleFipsProvider;

/** Makes bcfks/fips.bcfks with the FIPS library of Bouncy Castle; see make.sh. */
public class Fips {
    public static void main(String[] args) throws Exception {
        Security.addProvider(new BouncyCastleFipsProvider());
        CertificateFactory f = CertificateFactory.getInstance("X.509");
        java.security.cert.Certificate c = f.generateCertificate(new FileInputStream("ec.crt")), i = f.generateCertificate(new FileInputStream("issuer.crt"));
        PrivateKey ec = KeyFactory.getInstance("EC").generatePrivate(new PKCS8EncodedKeySpec(Files.readAllBytes(Path.of("ec.pkcs8"))));
        KeyStore s = KeyStore.getInstance("BCFKS", "BCFIPS");
        s.load(null, null);
        s.setKeyEntry("ec", ec, "testing".toCharArray(), new java.security.cert.Certificate[] {c, i});
        s.setCertificateEntry("issuer", i);
        try (OutputStream o = new FileOutputStream("bcfks/fips.bcfks")) {
            s.store(o, "testing".toCharArray());
        }
    }
}
