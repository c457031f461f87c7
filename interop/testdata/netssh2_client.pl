#!/usr/bin/perl
# Perl's Net::SSH2, which is libssh2: takes one operation per line (see sftpop_test.go) and answers each.

use strict;
use warnings;
use Fcntl qw(:DEFAULT :mode);
use Net::SSH2 qw(:all);

# All that libssh2 1.10 has; what a build lacks it leaves out itself.
my %everything = (
    KEX => [qw(curve25519-sha256 curve25519-sha256@libssh.org ecdh-sha2-nistp256 ecdh-sha2-nistp384 ecdh-sha2-nistp521
        diffie-hellman-group-exchange-sha256 diffie-hellman-group16-sha512 diffie-hellman-group18-sha512
        diffie-hellman-group14-sha256 diffie-hellman-group14-sha1 diffie-hellman-group1-sha1 diffie-hellman-group-exchange-sha1)],
    HOSTKEY => [qw(ecdsa-sha2-nistp256 ecdsa-sha2-nistp384 ecdsa-sha2-nistp521 ecdsa-sha2-nistp256-cert-v01@openssh.com
        ecdsa-sha2-nistp384-cert-v01@openssh.com ecdsa-sha2-nistp521-cert-v01@openssh.com ssh-ed25519
        rsa-sha2-512 rsa-sha2-256 ssh-rsa ssh-dss)],
    CRYPT => [qw(aes256-gcm@openssh.com aes128-gcm@openssh.com chacha20-poly1305@openssh.com aes256-ctr aes192-ctr aes128-ctr
        aes256-cbc rijndael-cbc@lysator.liu.se aes192-cbc aes128-cbc blowfish-cbc arcfour128 arcfour cast128-cbc 3des-cbc)],
    MAC => [qw(hmac-sha2-256 hmac-sha2-512 hmac-sha2-256-etm@openssh.com hmac-sha2-512-etm@openssh.com hmac-sha1-etm@openssh.com
        hmac-sha1 hmac-sha1-96 hmac-md5 hmac-md5-96 hmac-ripemd160 hmac-ripemd160@openssh.com)],
    COMP => [qw(none zlib@openssh.com zlib)],
);
my %kinds = (kex => 'KEX', hostkey => 'HOSTKEY', cipher => 'CRYPT', mac => 'MAC', compression => 'COMP');

my ($ssh, $sftp);

sub na { die { na => shift } }

# failed ends the operation with the status that the server gave, or with what the library says.
sub failed {
    my ($code, $name, $text) = $ssh->error;
    if (($code // 0) == LIBSSH2_ERROR_SFTP_PROTOCOL && $sftp) {
        my ($status, $status_name) = $sftp->error;
        die { code => $status, error => $status_name };
    }
    die { code => -1, error => join ' ', map { $_ // '' } @_, $code, $name, $text };
}

sub method {
    my ($kind, @names) = @_;
    for my $end ($kind =~ /KEX|HOSTKEY/ ? ('') : ('_CS', '_SC')) {
        $ssh->method($kind . $end, @names);    # it fails where it knows none of the names
    }
}

sub slurp {
    open my $f, '<:raw', shift or die { code => -1, error => "$!" };
    local $/;
    return <$f> // '';
}

sub file {
    my ($path, $flags, $mode) = @_;
    return $sftp->open($path, $flags, $mode // 0666) // failed('open');
}

sub send_all {
    my ($f, $data) = @_;
    while (length $data) {
        my $n = $f->write(length $data > 1 << 20 ? substr($data, 0, 1 << 20) : $data);
        failed('write') unless defined $n && $n >= 0;
        substr($data, 0, $n, '');
    }
}

sub fetch_to {
    my ($f, $local, $how) = @_;
    open my $out, $how, $local or die { code => -1, error => "$!" };
    while (1) {
        my $n = $f->read(my $block, 1 << 18);
        failed('read') unless defined $n && $n >= 0;
        last unless $n;
        print $out $block;
    }
    close $out or die { code => -1, error => "$!" };
}

sub done { my $ok = shift; failed('') unless $ok; return }

sub type {
    my $fmt = S_IFMT(shift // 0);
    return $fmt == S_IFREG ? 1 : $fmt == S_IFDIR ? 2 : $fmt == S_IFLNK ? 3 : 4;
}

sub attributes {
    my %a = @_;
    failed('stat') unless %a;
    return (type => type($a{mode}), mode => $a{mode} & 07777, map { ($_ => $a{$_}) } grep { defined $a{$_} } qw(size uid gid atime mtime));
}

my %verbs = (
    connect => sub {
        my %o = @_;
        $ssh = Net::SSH2->new(timeout => 60_000);
        $sftp = undef;
        $ssh->flag(LIBSSH2_FLAG_COMPRESS, 1) if $o{everything} || $o{compression};
        if ($o{everything}) { method($_, @{ $everything{$_} }) for sort keys %everything }
        for (sort keys %kinds) { method($kinds{$_}, $o{$_}) if $o{$_} }
        $ssh->connect($o{host}, $o{port}) or failed('connect');
        if ($o{known_hosts}) {
            $ssh->check_hostkey(LIBSSH2_HOSTKEY_POLICY_STRICT, $o{known_hosts}) or failed('host key');
        }
        my $in =
              $o{key}    ? $ssh->auth_publickey($o{user}, $o{key} . '.pub', $o{key})
            : $o{answer} ? $ssh->auth_keyboard($o{user}, $o{answer})
            :              $ssh->auth_password($o{user}, $o{password} // 'any');
        # With no method needed the question for the methods is the login.
        ($in || $ssh->auth_ok) or failed('login');
        return unless $o{version};
        $sftp = $ssh->sftp // failed('sftp');
        return (n => 3);    # the only version it has, or it would not have come here
    },
    close => sub { undef $sftp; $ssh->disconnect if $ssh; undef $ssh; return },
    list => sub {
        my %o = @_;
        my $d = $sftp->opendir($o{path}) // failed('opendir');
        my (@names, @types);
        while (my %e = $d->read) {
            next if $e{name} eq '.' || $e{name} eq '..';
            push @names, name => $e{name};
            push @types, n => type($e{mode});
        }
        return (@names, @types);
    },
    stat => sub { my %o = @_; attributes($sftp->stat($o{path})) },
    lstat => sub { my %o = @_; attributes($sftp->stat($o{path}, 0)) },
    fstat => sub { my %o = @_; attributes(file($o{path}, O_RDONLY)->stat) },
    put => sub {
        my %o = @_;
        na('libssh2 has no text mode') if $o{text};
        send_all(file($o{path}, O_WRONLY | O_CREAT | O_TRUNC), slurp($o{local}));
        return;
    },
    get => sub {
        my %o = @_;
        na('libssh2 has no text mode') if $o{text};
        fetch_to(file($o{path}, O_RDONLY), $o{local}, '>:raw');
        return;
    },
    reput => sub {
        my %o = @_;
        my $f = file($o{path}, O_WRONLY);
        my %a = $f->stat;
        $f->seek($a{size});
        send_all($f, substr(slurp($o{local}), $a{size}));
        return;
    },
    reget => sub {
        my %o = @_;
        my $f = file($o{path}, O_RDONLY);
        $f->seek(-s $o{local});
        fetch_to($f, $o{local}, '>>:raw');
        return;
    },
    append => sub { my %o = @_; send_all(file($o{path}, O_WRONLY | O_APPEND), slurp($o{local})); return },
    create => sub { my %o = @_; send_all(file($o{path}, O_WRONLY | O_CREAT | O_EXCL), 'new'); return },
    rename => sub {
        my %o = @_;
        na('libssh2 sends no flags of RENAME in version 3') if $o{overwrite};
        done($sftp->rename($o{path}, $o{to}, 0));
    },
    symlink => sub { my %o = @_; done($sftp->symlink($o{to}, $o{path})) },
    readlink => sub { my %o = @_; return (text => $sftp->readlink($o{path}) // failed('readlink')) },
    realpath => sub { my %o = @_; return (text => $sftp->realpath($o{path}) // failed('realpath')) },
    mkdir => sub { my %o = @_; done($sftp->mkdir($o{path}, $o{mode} // 0777)) },
    rmdir => sub { my %o = @_; done($sftp->rmdir($o{path})) },
    remove => sub { my %o = @_; done($sftp->unlink($o{path})) },
    chmod => sub { my %o = @_; done($sftp->setstat($o{path}, mode => $o{mode})) },
    chown => sub { my %o = @_; done($sftp->setstat($o{path}, uid => $o{uid}, gid => $o{gid})) },
    utimes => sub { my %o = @_; done($sftp->setstat($o{path}, atime => $o{atime}, mtime => $o{mtime})) },
    truncate => sub { my %o = @_; done($sftp->setstat($o{path}, size => $o{size})) },
    exec => sub {
        my %o = @_;
        my $c = $ssh->channel // failed('channel');
        $c->exec($o{command}) or failed('exec');
        my $data = $o{local} ? slurp($o{local}) : '';
        open my $out, '>:raw', $o{to} || '/dev/null' or die { code => -1, error => "$!" };
        my $errors = '';
        $ssh->blocking(0);
        my ($eof, $last) = (0, time);
        # Neither direction may wait for the other.
        while (!$c->eof) {
            my $moved = 0;
            if (length $data) {
                my $n = $c->write(substr($data, 0, 1 << 16));
                if (defined $n && $n > 0) { substr($data, 0, $n, ''); $moved = 1 }
            } elsif (!$eof) {
                $ssh->blocking(1); $c->send_eof; $ssh->blocking(0);
                $eof = 1;
            }
            for my $ext (0, 1) {
                my $n = $c->read(my $block, 1 << 16, $ext);
                next unless defined $n && $n > 0;
                $moved = 1;
                if ($ext) { $errors .= $block } else { print $out $block }
            }
            $last = time if $moved;
            failed('the command hangs') if time - $last > 20;
            select undef, undef, undef, 0.001 unless $moved;
        }
        $ssh->blocking(1);
        $c->close;
        $c->wait_closed;
        close $out;
        return (n => $c->exit_status, text => $errors);
    },
);

my %lacks = (
    composed => 'composes no paths', link => 'makes no hard links', hash => 'has no check-file', md5 => 'has no md5-hash',
    copyfile => 'has no copy-file', copydata => 'has no copy-data', space => 'has no space-available',
    lock => 'has no locks', limits => 'asks for no limits', home => 'has no home-directory', expand => 'has no expand-path',
    fsync => 'has fsync, which Net::SSH2 does not show', statvfs => 'has statvfs, which Net::SSH2 does not show',
    posixrename => 'has no posix-rename before 1.11', rekeys => 'counts no key exchanges',
);

if (@ARGV && $ARGV[0] eq '--version') {
    printf "Net::SSH2 %s libssh2 %s perl %vd\n", $Net::SSH2::VERSION, scalar Net::SSH2->version, $^V;
    exit;
}

$| = 1;
while (my $line = <STDIN>) {
    chomp $line;
    my %o = map { my ($key, $value) = split /=/, $_, 2; $value =~ tr/+/ /; $value =~ s/%(..)/chr hex $1/ge; ($key => $value) } split /&/, $line;
    my @answer = eval {
        na("libssh2 $lacks{$o{verb}}") if $lacks{ $o{verb} };
        return ($verbs{ $o{verb} } // na("no verb $o{verb}"))->(%o);
    };
    if (my $e = $@) {
        @answer = ref $e ? %$e : (code => -1, error => $e);
    }
    my @pairs;
    while (my ($key, $value) = splice @answer, 0, 2) {
        utf8::encode($value) if utf8::is_utf8($value);
        $value =~ s/([^A-Za-z0-9_.-])/sprintf '%%%02X', ord $1/ge;
        push @pairs, "$key=$value";
    }
    print join('&', @pairs), "\n";
}
