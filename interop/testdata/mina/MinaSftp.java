// Apache MINA SSHD's SFTP in versions 3 to 6.
//
//   java -cp JARS MinaSftp.java client                         takes one operation per line (see sftpop_test.go)
//                                                              and answers each
//   java -cp JARS MinaSftp.java server ROOT KEY USER PASSWORD  serves ROOT as "/" in the version the client asks for

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.PrintStream;
import java.net.URLDecoder;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Instant;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Set;

import org.apache.sshd.client.SshClient;
import org.apache.sshd.client.session.ClientSession;
import org.apache.sshd.client.keyverifier.AcceptAllServerKeyVerifier;
import org.apache.sshd.common.file.virtualfs.VirtualFileSystemFactory;
import org.apache.sshd.common.keyprovider.FileKeyPairProvider;
import org.apache.sshd.server.SshServer;
import org.apache.sshd.sftp.client.SftpClient;
import org.apache.sshd.sftp.client.SftpClient.Attribute;
import org.apache.sshd.sftp.client.SftpClient.Attributes;
import org.apache.sshd.sftp.client.SftpClient.CopyMode;
import org.apache.sshd.sftp.client.SftpClient.DirEntry;
import org.apache.sshd.sftp.client.SftpClient.OpenMode;
import org.apache.sshd.sftp.client.SftpClientFactory;
import org.apache.sshd.sftp.client.SftpVersionSelector;
import org.apache.sshd.sftp.client.extensions.CheckFileHandleExtension;
import org.apache.sshd.sftp.client.extensions.CheckFileNameExtension;
import org.apache.sshd.sftp.client.extensions.CopyDataExtension;
import org.apache.sshd.sftp.client.extensions.CopyFileExtension;
import org.apache.sshd.sftp.client.extensions.MD5FileExtension;
import org.apache.sshd.sftp.client.extensions.MD5HandleExtension;
import org.apache.sshd.sftp.client.extensions.SftpClientExtension;
import org.apache.sshd.sftp.client.extensions.SpaceAvailableExtension;
import org.apache.sshd.sftp.client.extensions.openssh.OpenSSHFsyncExtension;
import org.apache.sshd.sftp.client.extensions.openssh.OpenSSHLimitsExtension;
import org.apache.sshd.sftp.client.extensions.openssh.OpenSSHPosixRenameExtension;
import org.apache.sshd.sftp.client.extensions.openssh.OpenSSHStatPathExtension;
import org.apache.sshd.sftp.common.SftpConstants;
import org.apache.sshd.sftp.common.SftpException;
import org.apache.sshd.sftp.server.SftpSubsystemFactory;

public class MinaSftp {
    public static void main(String[] args) throws Exception {
        if (args[0].equals("server")) {
            serve(args[1], args[2], args[3], args[4]);
        } else {
            new MinaSftp().drive();
        }
    }

    static void serve(String root, String key, String name, String secret) throws Exception {
        SshServer s = SshServer.setUpDefaultServer();
        s.setHost("127.0.0.1");
        s.setPort(0);
        s.setKeyPairProvider(new FileKeyPairProvider(Path.of(key)));
        s.setPasswordAuthenticator((user, password, session) -> user.equals(name) && password.equals(secret));
        s.setFileSystemFactory(new VirtualFileSystemFactory(Path.of(root)));
        s.setSubsystemFactories(List.of(new SftpSubsystemFactory()));
        s.start();
        System.out.println("listening on 127.0.0.1:" + s.getPort());
        System.out.flush();
        Thread.sleep(Long.MAX_VALUE);
    }

    static class NotApplicable extends Exception {
        NotApplicable(String why) { super(why); }
    }

    final SshClient ssh = SshClient.setUpDefaultClient();
    ClientSession session;
    SftpClient sftp;
    StringBuilder answer;

    void drive() throws Exception {
        ssh.setServerKeyVerifier(AcceptAllServerKeyVerifier.INSTANCE); // the host key is what TestAlgorithms is about
        ssh.start();
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
                tell("code", e.getStatus());
                tell("error", e.getMessage());
            } catch (UnsupportedOperationException e) {
                answer = new StringBuilder();
                tell("na", "MINA's client: " + e.getMessage());
            } catch (Throwable e) {
                answer = new StringBuilder();
                tell("code", -1);
                tell("error", e);
            }
            out.println(answer);
        }
        ssh.stop();
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

    void tell(Attributes a) {
        tell("type", a.getType());
        if (a.getFlags().contains(Attribute.Size)) {
            tell("size", a.getSize());
        }
        if (a.getFlags().contains(Attribute.UidGid)) {
            tell("uid", a.getUserId());
            tell("gid", a.getGroupId());
        }
        if (a.getFlags().contains(Attribute.OwnerGroup)) {
            tell("owner", a.getOwner());
            tell("group", a.getGroup());
        }
        if (a.getFlags().contains(Attribute.Perms)) {
            tell("mode", a.getPermissions() & 07777);
        }
        tell("atime", a.getAccessTime());
        tell("mtime", a.getModifyTime());
    }

    void tell(String key, FileTime t) {
        if (t != null) {
            tell(key, t.toInstant().getEpochSecond());
            tell(key + "_ns", t.toInstant().getNano());
        }
    }

    static FileTime time(Map<String, String> o, String key) {
        return FileTime.from(Instant.ofEpochSecond(Long.parseLong(o.get(key)), Long.parseLong(o.get(key + "_ns"))));
    }

    static long number(Map<String, String> o, String key) {
        return Long.parseLong(o.getOrDefault(key, "0"));
    }

    <E extends SftpClientExtension> E extension(Class<E> type) throws NotApplicable {
        E e = sftp.getExtension(type);
        if (e == null || !e.isSupported()) {
            throw new NotApplicable("the server announces nothing that MINA takes for " + type.getSimpleName());
        }
        return e;
    }

    interface Call { void run() throws IOException; }

    /** Tells the status that a call ended with. */
    void code(Call c) throws IOException {
        try {
            c.run();
            tell("n", 0);
        } catch (SftpException e) {
            tell("n", e.getStatus());
        }
    }

    void run(Map<String, String> o) throws Exception {
        String path = o.get("path");
        String to = o.get("to");
        Path local = o.containsKey("local") ? Path.of(o.get("local")) : null;
        switch (o.get("verb")) {
            case "connect" -> {
                session = ssh.connect(o.get("user"), o.get("host"), (int) number(o, "port")).verify(20000).getSession();
                session.addPasswordIdentity(o.get("password"));
                session.auth().verify(20000);
                var select = SftpVersionSelector.fixedVersionSelector((int) number(o, "version"));
                sftp = SftpClientFactory.instance().createSftpClient(session, select);
                tell("n", sftp.getVersion());
            }
            case "close" -> {
                if (session != null) {
                    sftp.close();
                    session.close();
                    session = null;
                }
            }
            case "list" -> {
                for (DirEntry e : sftp.readDir(path)) {
                    if (!e.getFilename().equals(".") && !e.getFilename().equals("..")) {
                        tell("name", e.getFilename());
                        tell("n", e.getAttributes().getType());
                    }
                }
            }
            case "stat" -> tell(sftp.stat(path));
            case "lstat" -> tell(sftp.lstat(path));
            case "fstat" -> {
                try (var f = sftp.open(path, Set.of(OpenMode.Read))) {
                    tell(sftp.stat(f));
                }
            }
            case "put" -> {
                text(o);
                try (OutputStream out = sftp.write(path)) {
                    Files.copy(local, out);
                }
            }
            case "get" -> {
                text(o);
                try (InputStream in = sftp.read(path); OutputStream out = Files.newOutputStream(local)) {
                    in.transferTo(out);
                }
            }
            case "reput" -> {
                byte[] data = Files.readAllBytes(local);
                int offset = (int) sftp.stat(path).getSize();
                try (var f = sftp.open(path, Set.of(OpenMode.Write))) {
                    for (int n; offset < data.length; offset += n) {
                        n = Math.min(32 << 10, data.length - offset);
                        sftp.write(f, offset, data, offset, n);
                    }
                }
            }
            case "reget" -> {
                byte[] block = new byte[32 << 10];
                try (var f = sftp.open(path, Set.of(OpenMode.Read));
                        var out = Files.newOutputStream(local, java.nio.file.StandardOpenOption.APPEND)) {
                    long offset = Files.size(local);
                    for (int n; (n = sftp.read(f, offset, block)) > 0; offset += n) {
                        out.write(block, 0, n);
                    }
                }
            }
            case "append" -> {
                byte[] data = Files.readAllBytes(local);
                try (var f = sftp.open(path, Set.of(OpenMode.Write, OpenMode.Append))) {
                    sftp.write(f, 0, data);
                }
            }
            case "create" -> {
                try (var f = sftp.open(path, Set.of(OpenMode.Write, OpenMode.Create, OpenMode.Exclusive))) {
                    sftp.write(f, 0, "new".getBytes());
                }
            }
            case "rename" -> {
                if (o.containsKey("overwrite")) {
                    if (sftp.getVersion() < 5) {
                        throw new NotApplicable("MINA renames over a name only from version 5 on, or by posix-rename");
                    }
                    sftp.rename(path, to, CopyMode.Overwrite);
                } else {
                    sftp.rename(path, to);
                }
            }
            case "posixrename" -> extension(OpenSSHPosixRenameExtension.class).posixRename(path, to);
            case "symlink" -> sftp.symLink(path, to);
            case "readlink" -> tell("text", sftp.readLink(path));
            case "link" -> sftp.link(path, to, false);
            case "mkdir" -> {
                sftp.mkdir(path);
                var mode = new Attributes();
                mode.setPermissions((int) number(o, "mode"));
                sftp.setStat(path, mode);
            }
            case "rmdir" -> sftp.rmdir(path);
            case "remove" -> sftp.remove(path);
            case "chmod" -> {
                var a = new Attributes();
                a.setPermissions((int) number(o, "mode"));
                sftp.setStat(path, a);
            }
            case "chown" -> {
                var a = new Attributes();
                if (sftp.getVersion() == 3) {
                    a.owner((int) number(o, "uid"), (int) number(o, "gid"));
                } else {
                    a.setOwner(o.get("owner"));
                    a.setGroup(o.get("group"));
                }
                sftp.setStat(path, a);
            }
            case "utimes" -> {
                var a = new Attributes();
                a.setAccessTime(time(o, "atime"));
                a.setModifyTime(time(o, "mtime"));
                sftp.setStat(path, a);
            }
            case "truncate" -> {
                var a = new Attributes();
                a.setSize(number(o, "size"));
                sftp.setStat(path, a);
            }
            case "realpath" -> tell("text", sftp.canonicalPath(path));
            case "composed" -> throw new NotApplicable("MINA's client composes no paths");
            case "lock" -> {
                if (sftp.getVersion() < 6) {
                    throw new NotApplicable("byte-range locks came with version 6");
                }
                int mask = SftpConstants.SSH_FXF_WRITE_LOCK | 0x200; // advisory
                try (var f = sftp.open(path, Set.of(OpenMode.Read, OpenMode.Write))) {
                    code(() -> sftp.lock(f, 100, 50, mask));
                    code(() -> sftp.lock(f, 120, 10, mask));
                    code(() -> sftp.unlock(f, 100, 49));
                    code(() -> sftp.unlock(f, 100, 50));
                }
            }
            case "hash" -> {
                var algorithms = List.of(o.get("algorithm").split(","));
                int block = (int) number(o, "block");
                Map.Entry<String, ? extends java.util.Collection<byte[]>> h;
                if (o.containsKey("handle")) {
                    try (var f = sftp.open(path, Set.of(OpenMode.Read))) {
                        h = extension(CheckFileHandleExtension.class)
                            .checkFileHandle(f, algorithms, number(o, "offset"), number(o, "length"), block);
                    }
                } else {
                    h = extension(CheckFileNameExtension.class)
                        .checkFileName(path, algorithms, number(o, "offset"), number(o, "length"), block);
                }
                var all = new StringBuilder();
                for (byte[] one : h.getValue()) {
                    all.append(HexFormat.of().formatHex(one));
                }
                tell("text", h.getKey() + " " + all);
            }
            case "md5" -> {
                byte[] h;
                if (o.containsKey("handle")) {
                    try (var f = sftp.open(path, Set.of(OpenMode.Read))) {
                        h = extension(MD5HandleExtension.class).getHash(f, number(o, "offset"), number(o, "length"), new byte[0]);
                    }
                } else {
                    h = extension(MD5FileExtension.class).getHash(path, number(o, "offset"), number(o, "length"), new byte[0]);
                }
                tell("text", HexFormat.of().formatHex(h));
            }
            case "copyfile" -> extension(CopyFileExtension.class).copyFile(path, to, o.containsKey("overwrite"));
            case "copydata" -> {
                var copy = extension(CopyDataExtension.class);
                try (var from = sftp.open(path, Set.of(OpenMode.Read));
                        var into = sftp.open(to, Set.of(OpenMode.Write, OpenMode.Create, OpenMode.Truncate))) {
                    copy.copyData(from, number(o, "offset"), number(o, "length"), into, number(o, "at"));
                }
            }
            case "space" -> {
                var v = extension(SpaceAvailableExtension.class).available(path);
                tell("n", v.bytesOnDevice);
                tell("n", v.unusedBytesOnDevice);
                tell("n", v.bytesAvailableToUser);
                tell("n", v.unusedBytesAvailableToUser);
                tell("n", v.bytesPerAllocationUnit);
            }
            case "statvfs" -> {
                var v = extension(OpenSSHStatPathExtension.class).stat(path);
                tell("n", v.f_bsize);
                tell("n", v.f_frsize);
                tell("n", v.f_blocks);
                tell("n", v.f_bfree);
                tell("n", v.f_bavail);
            }
            case "limits" -> {
                var v = extension(OpenSSHLimitsExtension.class).limits();
                tell("n", v.maxPacketLength);
                tell("n", v.maxReadLength);
                tell("n", v.maxWriteLength);
                tell("n", v.maxOpenHandles);
            }
            case "fsync" -> {
                var sync = extension(OpenSSHFsyncExtension.class);
                try (var f = sftp.open(path, Set.of(OpenMode.Write))) {
                    sync.fsync(f);
                }
            }
            case "home", "expand" -> throw new NotApplicable("MINA's client has no " + o.get("verb"));
            default -> throw new NotApplicable("no verb " + o.get("verb"));
        }
    }

    void text(Map<String, String> o) throws NotApplicable {
        if (o.containsKey("text")) {
            throw new NotApplicable("MINA's OpenMode has no text");
        }
    }
}
