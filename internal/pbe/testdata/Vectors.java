import java.security.Security;
import java.util.HexFormat;
import java.util.Random;
import org.bouncycastle.crypto.engines.AESEngine;
import org.bouncycastle.crypto.engines.RFC5649WrapEngine;
import org.bouncycastle.crypto.modes.CCMBlockCipher;
import org.bouncycastle.crypto.params.AEADParameters;
import org.bouncycastle.crypto.params.KeyParameter;

/** Prints aes.txt: java -cp bcprov-jdk18on-1.78.1.jar Vectors.java */
public class Vectors {
    static final HexFormat HEX = HexFormat.of();

    static byte[] some(Random r, int n) {
        byte[] b = new byte[n];
        r.nextBytes(b);
        return b;
    }

    public static void main(String[] args) throws Exception {
        Random r = new Random(1);
        for (int n : new int[] {0, 1, 15, 16, 17, 32, 100, 1000}) {
            for (int[] nt : new int[][] {{7, 8}, {12, 12}, {13, 16}}) {
               
                byte[] key = some(r, 32), nonce = some(r, nt[0]), text = some(r, n);
                CCMBlockCipher c = (CCMBlockCipher) CCMBlockCipher.newInstance(AESEngine.newInstance());
                c.init(true, new AEADParameters(new KeyParameter(key), 8 * nt[1], nonce));
                System.out.println("ccm " + HEX.formatHex(key) + " " + HEX.formatHex(nonce) + " " + nt[1] + " " + HEX.formatHex(text) + "- " + HEX.formatHex(c.processPacket(text, 0, n)));
            }
        }
        for (int n : new int[] {1, 7, 8, 9, 16, 20, 100}) {
            byte[] key = some(r, 32), text = some(r, n);
            RFC5649WrapEngine w = new RFC5649WrapEngine(AESEngine.newInstance());
            w.init(true, new KeyParameter(key));
            System.out.println("wrap " + HEX.formatHex(key) + " - 0 " + HEX.formatHex(text) + "- " + HEX.formatHex(w.wrap(text, 0, n)));
        }
    }
}
