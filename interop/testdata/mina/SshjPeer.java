// sshj: takes one operation per line (see sftpop_test.go) and answers each.
//
//   javac -d CLASSES -cp JARS SshjPeer.java && java -cp CLASSES:JARS SshjPeer

import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.PrintStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.URLDecoder;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;

import net.schmizz.sshj.DefaultConfig;
import net.schmizz.sshj.SSHClient;
import net.schmizz.sshj.common.Factory;
import net.schmizz.sshj.connection.channel.direct.Parameters;
import net.schmizz.sshj.connection.channel.direct.Session;
import net.schmizz.sshj.connection.channel.forwarded.RemotePortForwarder;
import net.schmizz.sshj.connection.channel.forwarded.SocketForwardingConnectListener;
import net.schmizz.sshj.sftp.FileAttributes;
import net.schmizz.sshj.sftp.FileMode;
import net.schmizz.sshj.sftp.OpenMode;
import net.schmizz.sshj.sftp.RemoteFile;
import net.schmizz.sshj.sftp.RenameFlags;
import net.schmizz.sshj.sftp.SFTPClient;
import net.schmizz.sshj.sftp.SFTPException;
import net.schmizz.sshj.transport.verification.PromiscuousVerifier;
import net.schmizz.sshj.userauth.method.AuthKeyboardInteractive;
import net.schmizz.sshj.userauth.method.AuthNone;
import net.schmizz.sshj.userauth.method.AuthPassword;
import net.schmizz.sshj.userauth.method.PasswordResponseProvider;
import net.schmizz.sshj.userauth.password.PasswordUtils;
import net.schmizz.sshj.xfer.FilePermission;

public class SshjPeer {
    public static void main(String[] args) throws Exception {
        new SshjPeer().drive();
    }

    static class NotApplicable extends Exception {
        NotApplicable(String why) { super(why); }
    }

    SSHClient ssh;
    SFTPClient sftp;
    StringBuilder answer;

    void drive() throws Exception {
        var lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        var out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        for (String line; (line = lines.readLine()) != null;) {
            answer = new StringBuilder();
            try {
                run(parse(line));
            } catch (NotApplicable e) {
                answer = new StringBuilder();
                tell("na", e.getMessage());
            } catch (SFTPException e) {
                answer = new StringBuilder();
                tell("code", e.getStatusCode().getCode());
                tell("error", e.getMessage());
            } catch (Throwable e) {
                answer = new StringBuilder();
                tell("code", -1);
                tell("error", e);
            }
            out.println(answer);
        }
        System.exit(0); // it leaves threads behind
    }

    static Map<String, String> parse(String line) {
        var o = new HashMap<String, String>();
        for (String pair : line.split("&")) {
            int at = pair.indexOf('=');
            o.put(pair.substring(0, at), URLDecoder.decode(pair.substring(at + 1), StandardCharsets.UTF_8));
        }
        return o;
    }

    void tell(String key, Object value) {
        answer.append(answer.length() == 0 ? "" : "&").append(key).append('=')
            .append(URLEncoder.encode(String.valueOf(value), StandardCharsets.UTF_8));
    }

    static int type(FileAttributes a) {
        return switch (a.getType()) {
            case REGULAR -> 1;
            case DIRECTORY -> 2;
            case SYMLINK -> 3;
            default -> 4;
        };
    }

    void tell(FileAttributes a) {
        tell("type", type(a));
        tell("mode", a.getMode().getPermissionsMask());
        tell("size", a.getSize());
        tell("uid", a.getUID());
        tell("gid", a.getGID());
        tell("atime", a.getAtime());
        tell("mtime", a.getMtime());
    }

    static int number(Map<String, String> o, String key) {
        return Integer.parseInt(o.getOrDefault(key, "0"));
    }

    static <T> List<Factory.Named<T>> only(List<Factory.Named<T>> all, String name) {
        return name == null ? all : all.stream().filter(f -> f.getName().equals(name)).toList();
    }

    void connect(Map<String, String> o) throws Exception {
        var cfg = new DefaultConfig(); // which is all that it has
        cfg.setKeyExchangeFactories(only(cfg.getKeyExchangeFactories(), o.get("kex")));
        cfg.setKeyAlgorithms(only(cfg.getKeyAlgorithms(), o.get("hostkey")));
        cfg.setCipherFactories(only(cfg.getCipherFactories(), o.get("cipher")));
        cfg.setMACFactories(only(cfg.getMACFactories(), o.get("mac")));
        ssh = new SSHClient(cfg);
        ssh.setTimeout(60000);
        ssh.setConnectTimeout(60000);
        if (o.containsKey("known_hosts")) {
            ssh.loadKnownHosts(new File(o.get("known_hosts")));
        } else {
            ssh.addHostKeyVerifier(new PromiscuousVerifier());
        }
        if (o.containsKey("everything")) {
            ssh.useCompression();
        }
        ssh.connect(o.get("host"), number(o, "port"));
        if (o.containsKey("key")) {
            ssh.authPublickey(o.get("user"), o.get("key"));
        } else if (o.containsKey("answer")) {
            var word = PasswordUtils.createOneOff(o.get("answer").toCharArray());
            ssh.auth(o.get("user"), new AuthKeyboardInteractive(new PasswordResponseProvider(word)));
        } else if (o.containsKey("password")) {
            ssh.authPassword(o.get("user"), o.get("password"));
        } else {
            ssh.auth(o.get("user"), new AuthNone(), new AuthPassword(PasswordUtils.createOneOff("any".toCharArray())));
        }
        if (o.containsKey("version")) {
            sftp = ssh.newSFTPClient();
            tell("n", sftp.version());
        }
    }

    void run(Map<String, String> o) throws Exception {
        String path = o.get("path");
        String to = o.get("to");
        String local = o.get("local");
        switch (o.get("verb")) {
            case "connect" -> connect(o);
            case "close" -> {
                if (ssh != null) {
                    ssh.disconnect();
                    ssh = null;
                }
            }
            case "forward" -> {
                int port = number(o, "listen");
                if (o.containsKey("remote")) {
                    var target = new SocketForwardingConnectListener(new InetSocketAddress("127.0.0.1", number(o, "to_port")));
                    port = ssh.getRemotePortForwarder().bind(new RemotePortForwarder.Forward("127.0.0.1", port), target).getPort();
                } else {
                    var listener = new ServerSocket(port, 50, InetAddress.getLoopbackAddress());
                    port = listener.getLocalPort();
                    var forwarder = ssh.newLocalPortForwarder(new Parameters("127.0.0.1", port, "127.0.0.1", number(o, "to_port")), listener);
                    var thread = new Thread(() -> {
                        try {
                            forwarder.listen();
                        } catch (java.io.IOException e) {
                            // the test finds out
                        }
                    });
                    thread.setDaemon(true);
                    thread.start();
                }
                tell("n", port);
            }
            case "list" -> {
                for (var e : sftp.ls(path)) {
                    tell("name", e.getName());
                    tell("n", type(e.getAttributes()));
                }
            }
            case "stat" -> tell(sftp.stat(path));
            case "lstat" -> tell(sftp.lstat(path));
            case "fstat" -> {
                try (var f = sftp.open(path)) {
                    tell(f.fetchAttributes());
                }
            }
            case "put", "get" -> {
                if (o.containsKey("text")) {
                    throw new NotApplicable("sshj has no text mode");
                }
                sftp.getFileTransfer().setPreserveAttributes(false);
                if (o.get("verb").equals("put")) {
                    sftp.put(local, path);
                } else {
                    sftp.get(path, local);
                }
            }
            case "reput" -> sftp.put(local, path, sftp.size(path));
            case "reget" -> sftp.get(path, local, Files.size(Path.of(local)));
            case "append" -> {
                byte[] data = Files.readAllBytes(Path.of(local));
                try (var f = sftp.open(path, EnumSet.of(OpenMode.WRITE, OpenMode.APPEND))) {
                    f.write(0, data, 0, data.length);
                }
            }
            case "create" -> {
                try (var f = sftp.open(path, EnumSet.of(OpenMode.WRITE, OpenMode.CREAT, OpenMode.EXCL))) {
                    f.write(0, "new".getBytes(), 0, 3);
                }
            }
            case "rename" -> {
                if (o.containsKey("overwrite")) {
                    throw new NotApplicable("sshj renames over a name only from version 5 on, or by posix-rename");
                }
                sftp.rename(path, to);
            }
            case "posixrename" -> sftp.rename(path, to, Set.of(RenameFlags.ATOMIC, RenameFlags.OVERWRITE));
            // Its API says that the link comes first, and so it sends them: all servers that read them as OpenSSH does have it
            // the other way round, and so have its users.
            case "symlink" -> sftp.symlink(to, path);
            case "readlink" -> tell("text", sftp.readlink(path));
            case "realpath" -> tell("text", sftp.canonicalize(path));
            case "mkdir" -> {
                sftp.mkdir(path);
                sftp.chmod(path, number(o, "mode"));
            }
            case "rmdir" -> sftp.rmdir(path);
            case "remove" -> sftp.rm(path);
            case "chmod" -> sftp.chmod(path, number(o, "mode"));
            case "chown" -> {
                sftp.setattr(path, new FileAttributes.Builder().withUIDGID(number(o, "uid"), number(o, "gid")).build());
            }
            case "utimes" -> sftp.setattr(path, new FileAttributes.Builder().withAtimeMtime(number(o, "atime"), number(o, "mtime")).build());
            case "truncate" -> sftp.truncate(path, number(o, "size"));
            case "exec" -> exec(o);
            default -> {
                String verb = o.get("verb");
                String why = Map.ofEntries(
                    Map.entry("link", "makes no hard links"), Map.entry("composed", "composes no paths"), Map.entry("lock", "has no locks"),
                    Map.entry("hash", "has no check-file"), Map.entry("md5", "has no md5-hash"), Map.entry("copyfile", "has no copy-file"),
                    Map.entry("copydata", "has no copy-data"), Map.entry("space", "has no space-available"), Map.entry("statvfs", "has no statvfs"),
                    Map.entry("limits", "asks for no limits"), Map.entry("fsync", "has no fsync"), Map.entry("home", "has no home-directory"),
                    Map.entry("expand", "has no expand-path"), Map.entry("rekeys", "counts no key exchanges")).getOrDefault(verb, "has no " + verb);
                throw new NotApplicable("sshj " + why);
            }
        }
    }

    void exec(Map<String, String> o) throws Exception {
        try (Session s = ssh.startSession(); Session.Command c = s.exec(o.get("command"))) {
            var errors = new ByteArrayOutputStream();
            var stderr = new Thread(() -> {
                try {
                    c.getErrorStream().transferTo(errors);
                } catch (java.io.IOException e) {
                    // the command's end tells
                }
            });
            stderr.start();
            var stdin = new Thread(() -> {
                try (OutputStream in = c.getOutputStream()) {
                    if (o.containsKey("local")) {
                        Files.copy(Path.of(o.get("local")), in);
                    }
                } catch (java.io.IOException e) {
                    // the output tells
                }
            });
            stdin.start();
            try (OutputStream out = o.containsKey("to") ? Files.newOutputStream(Path.of(o.get("to"))) : OutputStream.nullOutputStream()) {
                c.getInputStream().transferTo(out);
            }
            stdin.join();
            stderr.join();
            c.join(30, TimeUnit.SECONDS);
            tell("n", c.getExitStatus());
            tell("text", errors.toString(StandardCharsets.UTF_8));
        }
    }
}
