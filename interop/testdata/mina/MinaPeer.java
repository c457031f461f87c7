// Apache MINA SSHD with everything it can do switched on.
//
//   java -cp JARS MinaPeer.java server HOST_KEY...   prints "listening on ADDRESS"; commands get back their input
//   java -cp JARS MinaPeer.java client               reads a port per line, sends 128 KiB there and back, and prints
//                                                     "ok" or "error: why" for each

import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.List;
import java.util.Random;

import org.apache.sshd.client.ClientBuilder;
import org.apache.sshd.client.SshClient;
import org.apache.sshd.client.channel.ChannelExec;
import org.apache.sshd.client.channel.ClientChannelEvent;
import org.apache.sshd.client.keyverifier.AcceptAllServerKeyVerifier;
import org.apache.sshd.client.session.ClientSession;
import org.apache.sshd.common.NamedFactory;
import org.apache.sshd.common.cipher.BuiltinCiphers;
import org.apache.sshd.common.compression.BuiltinCompressions;
import org.apache.sshd.common.helpers.AbstractFactoryManager;
import org.apache.sshd.common.kex.BuiltinDHFactories;
import org.apache.sshd.common.keyprovider.FileHostKeyCertificateProvider;
import org.apache.sshd.common.keyprovider.FileKeyPairProvider;
import org.apache.sshd.common.mac.BuiltinMacs;
import org.apache.sshd.common.signature.BuiltinSignatures;
import org.apache.sshd.server.ServerBuilder;
import org.apache.sshd.server.SshServer;
import org.apache.sshd.server.Environment;
import org.apache.sshd.server.ExitCallback;
import org.apache.sshd.server.channel.ChannelSession;
import org.apache.sshd.server.command.Command;

public class MinaPeer {
    public static void main(String[] args) throws Exception {
        if (args[0].equals("server")) {
            serve(Arrays.copyOfRange(args, 1, args.length));
        } else {
            drive();
        }
    }

    static void everything(AbstractFactoryManager m) {
        var ciphers = EnumSet.allOf(BuiltinCiphers.class);
        ciphers.remove(BuiltinCiphers.none);
        ciphers.removeIf(c -> !c.isSupported());
        m.setCipherFactories(new ArrayList<>(NamedFactory.setUpBuiltinFactories(true, ciphers)));
        m.setMacFactories(new ArrayList<>(NamedFactory.setUpBuiltinFactories(true, BuiltinMacs.VALUES)));
        m.setCompressionFactories(new ArrayList<>(NamedFactory.setUpBuiltinFactories(true, BuiltinCompressions.VALUES)));
        m.setSignatureFactories(new ArrayList<>(NamedFactory.setUpBuiltinFactories(true, BuiltinSignatures.VALUES)));
    }

    static void serve(String[] keys) throws Exception {
        SshServer s = SshServer.setUpDefaultServer();
        everything(s);
        s.setKeyExchangeFactories(NamedFactory.setUpTransformedFactories(true, BuiltinDHFactories.VALUES, ServerBuilder.DH2KEX));
        s.setHost("127.0.0.1");
        s.setPort(0);
        List<Path> files = new ArrayList<>();
        List<Path> certificates = new ArrayList<>();
        for (String k : keys) {
            files.add(Path.of(k));
            Path c = Path.of(k + "-cert.pub");
            if (c.toFile().exists()) {
                certificates.add(c);
            }
        }
        s.setKeyPairProvider(new FileKeyPairProvider(files));
        if (!certificates.isEmpty()) {
            s.setHostKeyCertificateProvider(new FileHostKeyCertificateProvider(certificates));
        }
        s.setPasswordAuthenticator((user, password, session) -> true);
        s.setCommandFactory((channel, command) -> new Echo());
        s.start();
        System.out.println("listening on 127.0.0.1:" + s.getPort());
        System.out.flush();
        Thread.sleep(Long.MAX_VALUE);
    }

    static class Echo implements Command, Runnable {
        InputStream in;
        OutputStream out;
        ExitCallback exit;
        Thread thread;

        public void setInputStream(InputStream in) { this.in = in; }
        public void setOutputStream(OutputStream out) { this.out = out; }
        public void setErrorStream(OutputStream err) { }
        public void setExitCallback(ExitCallback exit) { this.exit = exit; }

        public void start(ChannelSession channel, Environment env) {
            thread = new Thread(this);
            thread.setDaemon(true);
            thread.start();
        }

        public void run() {
            try {
                in.transferTo(out);
                out.flush();
                exit.onExit(0);
            } catch (Exception e) {
                exit.onExit(1, String.valueOf(e));
            }
        }

        public void destroy(ChannelSession channel) { }
    }

    static void drive() throws Exception {
        SshClient c = SshClient.setUpDefaultClient();
        everything(c);
        c.setKeyExchangeFactories(NamedFactory.setUpTransformedFactories(true, BuiltinDHFactories.VALUES, ClientBuilder.DH2KEX));
        c.setServerKeyVerifier(AcceptAllServerKeyVerifier.INSTANCE);
        c.start();
        byte[] data = new byte[128 << 10];
        new Random(1).nextBytes(data);
        Arrays.fill(data, 0, 64 << 10, (byte) 'x');
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line; (line = lines.readLine()) != null;) {
            String answer = "ok";
            try {
                roundTrip(c, Integer.parseInt(line.trim()), data);
            } catch (Throwable e) {
                answer = "error: " + String.valueOf(e).replace('\n', ' ');
            }
            System.out.println(answer);
            System.out.flush();
        }
        c.stop();
    }

    static void roundTrip(SshClient c, int port, byte[] data) throws Exception {
        try (ClientSession s = c.connect("interop", "127.0.0.1", port).verify(20000).getSession()) {
            s.addPasswordIdentity("any");
            s.auth().verify(20000);
            try (ChannelExec x = s.createExecChannel("echo")) {
                var back = new ByteArrayOutputStream();
                x.setIn(new ByteArrayInputStream(data));
                x.setOut(back);
                x.open().verify(20000);
                var seen = x.waitFor(EnumSet.of(ClientChannelEvent.CLOSED), 20000);
                if (!seen.contains(ClientChannelEvent.CLOSED)) {
                    throw new Exception("the command did not end: " + seen);
                }
                if (!Arrays.equals(back.toByteArray(), data)) {
                    throw new Exception(back.size() + " octets came back, not as they went");
                }
            }
        }
    }
}
