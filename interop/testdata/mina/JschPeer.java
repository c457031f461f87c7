// JSch: takes one operation per line (see sftpop_test.go) and answers each.
//
//   javac -d CLASSES -cp JARS JschPeer.java && java -cp CLASSES:JARS JschPeer

import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.PrintStream;
import java.net.URLDecoder;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

import com.jcraft.jsch.ChannelExec;
import com.jcraft.jsch.ChannelSftp;
import com.jcraft.jsch.JSch;
import com.jcraft.jsch.Logger;
import com.jcraft.jsch.Session;
import com.jcraft.jsch.SftpATTRS;
import com.jcraft.jsch.SftpException;
import com.jcraft.jsch.SftpProgressMonitor;
import com.jcraft.jsch.SftpStatVFS;
import com.jcraft.jsch.UIKeyboardInteractive;
import com.jcraft.jsch.UserInfo;

public class JschPeer {
    public static void main(String[] args) throws Exception {
        new JschPeer().drive();
    }

    static class NotApplicable extends Exception {
        NotApplicable(String why) { super(why); }
    }

    Session session;
    ChannelSftp sftp;
    StringBuilder answer;
    volatile int exchanges;

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
            } catch (SftpException e) {
                answer = new StringBuilder();
                tell("code", e.id);
                tell("error", e.getMessage());
            } catch (Throwable e) {
                answer = new StringBuilder();
                tell("code", -1);
                tell("error", e);
            }
            out.println(answer);
        }
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

    static int type(SftpATTRS a) {
        return a.isReg() ? 1 : a.isDir() ? 2 : a.isLink() ? 3 : 4;
    }

    void tell(SftpATTRS a) {
        tell("type", type(a));
        tell("mode", a.getPermissions() & 07777);
        tell("size", a.getSize());
        tell("uid", a.getUId());
        tell("gid", a.getGId());
        tell("atime", a.getATime());
        tell("mtime", a.getMTime());
    }

    static int number(Map<String, String> o, String key) {
        return Integer.parseInt(o.getOrDefault(key, "0"));
    }

    /** Everything that the library has a class for, by kind. */
    static String all(String kind) throws Exception {
        Class<?> is = Class.forName("com.jcraft.jsch." + kind);
        Set<String> names = new TreeSet<>();
        for (var e : JSch.getConfig().entrySet()) {
            // Names of algorithms have a class; "mlkem768" and the like are parts of them.
            if (!e.getValue().startsWith("com.jcraft.jsch.") || e.getKey().equals("none")) {
                continue;
            }
            if (is.isAssignableFrom(Class.forName(e.getValue(), false, JschPeer.class.getClassLoader()))
                && (e.getKey().contains("-") || kind.equals("Cipher") && e.getKey().startsWith("arcfour") || kind.equals("Compression"))) {
                names.add(e.getKey());
            }
        }
        return String.join(",", names);
    }

    /** Answers whatever is asked with one word. */
    record Answers(String word) implements UserInfo, UIKeyboardInteractive {
        public String getPassphrase() { return null; }
        public String getPassword() { return null; }
        public boolean promptPassword(String s) { return false; }
        public boolean promptPassphrase(String s) { return false; }
        public boolean promptYesNo(String s) { return false; }
        public void showMessage(String s) { }
        public String[] promptKeyboardInteractive(String destination, String name, String instruction, String[] prompt, boolean[] echo) {
            var all = new String[prompt.length];
            java.util.Arrays.fill(all, word);
            return all;
        }
    }

    /** Counts key exchanges and takes new keys each time that so many octets have passed. */
    class Rekeys implements SftpProgressMonitor {
        final long every;
        long passed;

        Rekeys(long every) { this.every = every; }

        public void init(int op, String src, String dest, long max) { }
        public void end() { }

        public boolean count(long n) {
            passed += n;
            if (every > 0 && passed >= every) {
                passed = 0;
                try {
                    session.rekey();
                } catch (Exception e) {
                    throw new RuntimeException(e);
                }
            }
            return true;
        }
    }

    SftpProgressMonitor monitor;

    void connect(Map<String, String> o) throws Exception {
        var jsch = new JSch();
        exchanges = 0;
        jsch.setInstanceLogger(new Logger() {
            public boolean isEnabled(int level) { return true; }
            public void log(int level, String text) {
                if (text.startsWith("SSH_MSG_KEXINIT sent")) {
                    exchanges++;
                }
            }
        });
        session = jsch.getSession(o.get("user"), o.get("host"), number(o, "port"));
        session.setConfig("StrictHostKeyChecking", "no");
        if (o.containsKey("known_hosts")) {
            jsch.setKnownHosts(o.get("known_hosts"));
            session.setConfig("StrictHostKeyChecking", "yes");
        }
        if (o.containsKey("everything")) {
            session.setConfig("kex", all("KeyExchange"));
            session.setConfig("server_host_key", all("Signature"));
            // Each connection would try all of them first.
            for (String check : new String[] {"CheckKexes", "CheckCiphers", "CheckMacs", "CheckSignatures"}) {
                session.setConfig(check, "");
            }
            for (String end : new String[] {".c2s", ".s2c"}) {
                session.setConfig("cipher" + end, all("Cipher"));
                session.setConfig("mac" + end, all("MAC"));
                session.setConfig("compression" + end, "none,zlib@openssh.com,zlib");
            }
        }
        for (String kind : new String[] {"kex", "hostkey", "cipher", "mac", "compression"}) {
            if (!o.containsKey(kind)) {
                continue;
            }
            if (kind.equals("kex")) {
                session.setConfig("kex", o.get(kind));
            } else if (kind.equals("hostkey")) {
                session.setConfig("server_host_key", o.get(kind));
            } else {
                session.setConfig(kind + ".c2s", o.get(kind));
                session.setConfig(kind + ".s2c", o.get(kind));
            }
        }
        String methods = "none,password";
        if (o.containsKey("key")) {
            jsch.addIdentity(o.get("key"));
            methods = "publickey";
        } else if (o.containsKey("answer")) {
            session.setUserInfo(new Answers(o.get("answer")));
            methods = "keyboard-interactive";
        } else {
            session.setPassword(o.getOrDefault("password", "any"));
        }
        session.setConfig("PreferredAuthentications", methods);
        session.setTimeout(60000);
        session.connect(60000);
        monitor = new Rekeys(Long.parseLong(o.getOrDefault("rekey", "0")));
        if (o.containsKey("version")) {
            sftp = (ChannelSftp) session.openChannel("sftp");
            sftp.connect(60000);
            tell("n", sftp.getServerVersion());
        }
    }

    /** Paths are patterns to JSch. */
    static String plain(String path) {
        return path == null ? null : path.replaceAll("([\\\\*?])", "\\\\$1");
    }

    void run(Map<String, String> o) throws Exception {
        String path = plain(o.get("path"));
        String to = plain(o.get("to"));
        String local = o.get("local");
        switch (o.get("verb")) {
            case "connect" -> connect(o);
            case "close" -> {
                if (session != null) {
                    session.disconnect();
                    session = null;
                }
            }
            case "forward" -> {
                int port = number(o, "listen");
                if (o.containsKey("remote")) {
                    session.setPortForwardingR("127.0.0.1", port, "127.0.0.1", number(o, "to_port"));
                } else {
                    port = session.setPortForwardingL("127.0.0.1", port, "127.0.0.1", number(o, "to_port"));
                }
                tell("n", port);
            }
            case "rekeys" -> tell("n", exchanges - 1);
            case "list" -> {
                for (var e : sftp.ls(path)) {
                    if (!e.getFilename().equals(".") && !e.getFilename().equals("..")) {
                        tell("name", e.getFilename());
                        tell("n", type(e.getAttrs()));
                    }
                }
            }
            case "stat" -> tell(sftp.stat(path));
            case "lstat" -> tell(sftp.lstat(path));
            case "put", "get" -> {
                if (o.containsKey("text")) {
                    throw new NotApplicable("JSch has no text mode");
                }
                if (o.get("verb").equals("put")) {
                    sftp.put(plain(local), path, monitor);
                } else {
                    sftp.get(path, plain(local), monitor);
                }
            }
            case "reput" -> sftp.put(plain(local), path, ChannelSftp.RESUME);
            case "reget" -> sftp.get(path, plain(local), null, ChannelSftp.RESUME);
            case "append" -> sftp.put(plain(local), path, ChannelSftp.APPEND);
            case "rename" -> {
                if (o.containsKey("overwrite")) {
                    throw new NotApplicable("JSch renames by posix-rename where there is that");
                }
                if (sftp.getExtension("posix-rename@openssh.com") != null) {
                    var there = exists(to);
                    if (there) {
                        throw new NotApplicable("JSch renames by posix-rename, which replaces");
                    }
                }
                sftp.rename(path, to);
            }
            case "posixrename" -> {
                if (sftp.getExtension("posix-rename@openssh.com") == null) {
                    throw new NotApplicable("the server announces no posix-rename");
                }
                sftp.rename(path, to);
            }
            case "symlink" -> sftp.symlink(o.get("to"), path);
            case "link" -> sftp.hardlink(o.get("to"), path);
            case "readlink" -> tell("text", sftp.readlink(path));
            case "realpath" -> tell("text", sftp.realpath(path));
            case "mkdir" -> {
                sftp.mkdir(path);
                sftp.chmod(number(o, "mode"), path);
            }
            case "rmdir" -> sftp.rmdir(path);
            case "remove" -> sftp.rm(path);
            case "chmod" -> sftp.chmod(number(o, "mode"), path);
            case "chown" -> {
                sftp.chown(number(o, "uid"), path);
                sftp.chgrp(number(o, "gid"), path);
            }
            case "utimes" -> {
                var a = sftp.stat(path);
                a.setACMODTIME(number(o, "atime"), number(o, "mtime"));
                sftp.setStat(path, a);
            }
            case "truncate" -> {
                var a = sftp.stat(path);
                a.setSIZE(number(o, "size"));
                sftp.setStat(path, a);
            }
            case "statvfs" -> {
                SftpStatVFS v = sftp.statVFS(path);
                tell("n", v.getBlockSize());
                tell("n", v.getFragmentSize());
                tell("n", v.getBlocks());
                tell("n", v.getFreeBlocks());
                tell("n", v.getAvailBlocks());
            }
            case "home" -> throw new NotApplicable("JSch takes the first directory for the home");
            case "exec" -> exec(o);
            default -> {
                String verb = o.get("verb");
                String why = Map.ofEntries(
                    Map.entry("fstat", "opens nothing but to transfer it"), Map.entry("create", "opens nothing exclusively"),
                    Map.entry("composed", "composes no paths"), Map.entry("lock", "has no locks"), Map.entry("hash", "has no check-file"),
                    Map.entry("md5", "has no md5-hash"), Map.entry("copyfile", "has no copy-file"), Map.entry("copydata", "has no copy-data"),
                    Map.entry("space", "has no space-available"), Map.entry("limits", "asks for no limits"), Map.entry("fsync", "has no fsync"),
                    Map.entry("expand", "has no expand-path")).getOrDefault(verb, "has no " + verb);
                throw new NotApplicable("JSch " + why);
            }
        }
    }

    boolean exists(String path) throws SftpException {
        try {
            sftp.lstat(path);
            return true;
        } catch (SftpException e) {
            if (e.id == ChannelSftp.SSH_FX_NO_SUCH_FILE) {
                return false;
            }
            throw e;
        }
    }

    void exec(Map<String, String> o) throws Exception {
        var c = (ChannelExec) session.openChannel("exec");
        c.setCommand(o.get("command"));
        var errors = new ByteArrayOutputStream();
        c.setErrStream(errors);
        c.setInputStream(o.containsKey("local") ? Files.newInputStream(Path.of(o.get("local"))) : InputStream.nullInputStream());
        InputStream in = c.getInputStream();
        c.connect(60000);
        try (OutputStream out = o.containsKey("to") ? Files.newOutputStream(Path.of(o.get("to"))) : OutputStream.nullOutputStream()) {
            in.transferTo(out);
        }
        while (!c.isClosed()) { // there is nothing to wait on
            Thread.sleep(1);
        }
        tell("n", c.getExitStatus());
        tell("text", errors.toString(StandardCharsets.UTF_8));
        c.disconnect();
    }
}
