<?php
// PHP's phpseclib 3 in SFTP's versions 3 to 6: takes one operation per line (see sftpop_test.go) and answers each.

require_once 'phpseclib3/autoload.php';

use phpseclib3\Common\Functions\Strings;
use phpseclib3\Crypt\PublicKeyLoader;
use phpseclib3\Net\SFTP;
use phpseclib3\Net\SSH2;

class NotApplicable extends Exception {}
class Status extends Exception {}

set_error_handler(function ($no, $text, $file, $line) {
    if (error_reporting() & $no) {
        throw new ErrorException($text, 0, $no, $file, $line);
    }
});
error_reporting(E_ALL & ~E_DEPRECATED & ~E_USER_NOTICE);
ini_set('memory_limit', '1G');

// Client gives a command its input, which the library's exec cannot.
class Client extends SFTP
{
    public function run($command, $data, $sink)
    {
        $id = self::CHANNEL_EXEC;
        $this->curTimeout = 60;
        $this->window_size_server_to_client[$id] = $this->window_size;
        $this->send_binary_packet(Strings::packSSH2('CsN3', NET_SSH2_MSG_CHANNEL_OPEN, 'session', $id, $this->window_size, 0x4000));
        $this->channel_status[$id] = NET_SSH2_MSG_CHANNEL_OPEN;
        $this->get_channel_packet($id);
        $request = ['CNsCs', NET_SSH2_MSG_CHANNEL_REQUEST, $this->server_channels[$id], 'exec', 1, $command];
        $this->send_binary_packet(Strings::packSSH2(...$request));
        $this->channel_status[$id] = NET_SSH2_MSG_CHANNEL_REQUEST;
        if (!$this->get_channel_packet($id)) {
            throw new Exception('the command was refused');
        }
        $this->channel_status[$id] = NET_SSH2_MSG_CHANNEL_DATA;
        $this->send_channel_packet($id, $data);
        $this->send_binary_packet(pack('CN', NET_SSH2_MSG_CHANNEL_EOF, $this->server_channels[$id]));
        while (is_string($data = $this->get_channel_packet($id))) {
            fwrite($sink, $data);
        }
    }
}

class Driver
{
    private $c;

    public function connect($o)
    {
        $this->c = $c = new Client($o['host'], (int) $o['port'], 60);
        $c->setTimeout(60);
        $c->disableStatCache();
        if (isset($o['everything'])) {
            $ends = ['crypt' => SSH2::getSupportedEncryptionAlgorithms(), 'mac' => SSH2::getSupportedMACAlgorithms(),
                'comp' => SSH2::getSupportedCompressionAlgorithms()];
            $c->setPreferredAlgorithms(['kex' => SSH2::getSupportedKEXAlgorithms(), 'hostkey' => SSH2::getSupportedHostKeyAlgorithms(),
                'client_to_server' => $ends, 'server_to_client' => $ends]);
        }
        $ends = [];
        foreach (['cipher' => 'crypt', 'mac' => 'mac', 'compression' => 'comp'] as $name => $kind) {
            if (isset($o[$name])) {
                $ends[$kind] = [$o[$name]];
            }
        }
        $methods = $ends ? ['client_to_server' => $ends, 'server_to_client' => $ends] : [];
        foreach (['kex', 'hostkey'] as $kind) {
            if (isset($o[$kind])) {
                $methods[$kind] = [$o[$kind]];
            }
        }
        if ($methods) {
            $c->setPreferredAlgorithms($methods);
        }
        if (isset($o['known_hosts'])) {
            $key = explode(' ', $c->getServerPublicHostKey())[1];
            if (strpos(file_get_contents($o['known_hosts']), $key) === false) {
                throw new Exception('host key is not the known one');
            }
        }
        if (isset($o['version'])) {
            $c->setPreferredVersion((int) $o['version']);
        }
        $secret = isset($o['answer']) ? ['Password' => $o['answer']] : ($o['password'] ?? null);
        if (isset($o['key'])) {
            $secret = PublicKeyLoader::load(file_get_contents($o['key']));
        }
        if (!($secret === null ? $c->login($o['user']) : $c->login($o['user'], $secret))) {
            throw new Exception('login failed');
        }
        if (!isset($o['version'])) {
            return [];
        }
        // version 3 is what it begins with: the first operation changes that
        if ($c->pwd() === false) {
            throw new Exception('no SFTP: ' . $c->getLastSFTPError());
        }
        return [['n', $c->getNegotiatedVersion()]];
    }

    public function close($o)
    {
        if ($this->c) {
            $this->c->disconnect();
        }
        $this->c = null;
    }

    // ok fails as the library does, which returns false and has the server's status in a list.
    private function ok($result)
    {
        if ($result !== false) {
            return $result;
        }
        $error = $this->c->getLastSFTPError();
        foreach (array_reverse($this->c->getSFTPErrors()) as $e) {
            if (preg_match('/^NET_SFTP_STATUS_(\w+)/', $e, $m)) {
                throw new Status($error, constant('NET_SFTP_STATUS_' . $m[1]));
            }
        }
        throw new Exception('false: ' . $error);
    }

    public function list($o)
    {
        $names = $types = [];
        foreach ($this->ok($this->c->rawlist($o['path'])) as $name => $a) {
            if ($name !== '.' && $name !== '..') {
                $names[] = ['name', $name];
                $types[] = ['n', $a['type']];
            }
        }
        return array_merge($names, $types);
    }

    private function attributes($a)
    {
        $pairs = [];
        foreach ($a as $name => $value) {
            // The dollar is the library's.
            $name = ['mtime-nseconds' => 'mtime_ns', 'atime-nseconds' => 'atime_ns', 'link-count' => 'nlink',
                '$group' => 'group'][$name] ?? $name;
            $pairs[] = [$name, $name === 'mode' ? $value & 07777 : $value];
        }
        return $pairs;
    }

    public function stat($o) { return $this->attributes($this->ok($this->c->stat($o['path']))); }
    public function lstat($o) { return $this->attributes($this->ok($this->c->lstat($o['path']))); }

    public function put($o)
    {
        $this->noText($o);
        $this->ok($this->c->put($o['path'], $o['local'], SFTP::SOURCE_LOCAL_FILE));
    }

    public function get($o)
    {
        $this->noText($o);
        $this->ok($this->c->get($o['path'], $o['local']));
    }

    private function noText($o)
    {
        if (isset($o['text'])) {
            throw new NotApplicable('phpseclib has no text mode');
        }
    }

    public function reput($o)
    {
        $size = $this->ok($this->c->filesize($o['path']));
        $this->ok($this->c->put($o['path'], $o['local'], SFTP::SOURCE_LOCAL_FILE, $size, $size));
    }

    public function reget($o)
    {
        $f = fopen($o['local'], 'ab');
        $this->ok($this->c->get($o['path'], $f, filesize($o['local'])));
        fclose($f);
    }

    public function append($o) { $this->ok($this->c->put($o['path'], $o['local'], SFTP::SOURCE_LOCAL_FILE | SFTP::RESUME)); }

    public function rename($o)
    {
        if (isset($o['overwrite'])) {
            throw new NotApplicable('phpseclib sends no flags of RENAME');
        }
        $this->ok($this->c->rename($o['path'], $o['to']));
    }

    public function symlink($o) { $this->ok($this->c->symlink($o['to'], $o['path'])); }
    public function readlink($o) { return [['text', $this->ok($this->c->readlink($o['path']))]]; }
    public function mkdir($o) { $this->ok($this->c->mkdir($o['path'], (int) $o['mode'])); }
    public function rmdir($o) { $this->ok($this->c->rmdir($o['path'])); }
    public function remove($o) { $this->ok($this->c->delete($o['path'], false)); }
    public function chmod($o) { $this->ok($this->c->chmod((int) $o['mode'], $o['path'])); }
    public function truncate($o) { $this->ok($this->c->truncate($o['path'], (int) $o['size'])); }
    public function utimes($o) { $this->ok($this->c->touch($o['path'], (int) $o['mtime'], (int) $o['atime'])); }

    public function chown($o)
    {
        $old = $this->c->getNegotiatedVersion() < 4;
        $this->ok($this->c->chown($o['path'], $old ? (int) $o['uid'] : $o['owner']));
        $this->ok($this->c->chgrp($o['path'], $old ? (int) $o['gid'] : $o['group']));
    }

    public function exec($o)
    {
        $c = $this->c;
        $c->enableQuietMode();
        $f = fopen($o['to'] ?? '/dev/null', 'wb');
        $c->run($o['command'], isset($o['local']) ? file_get_contents($o['local']) : '', $f);
        fclose($f);
        return [['n', $c->getExitStatus()], ['text', $c->getStdError()]];
    }

    public function __call($verb, $o)
    {
        $why = ['realpath' => 'resolves paths itself', 'composed' => 'composes no paths', 'fstat' => 'opens nothing but to transfer it',
            'create' => 'opens nothing exclusively', 'posixrename' => 'has no posix-rename', 'link' => 'makes no hard links',
            'lock' => 'has no locks', 'hash' => 'has no check-file', 'md5' => 'has no md5-hash', 'copyfile' => 'has no copy-file',
            'copydata' => 'has no copy-data', 'space' => 'has no space-available', 'statvfs' => 'has no statvfs',
            'limits' => 'asks for no limits', 'fsync' => 'has no fsync', 'home' => 'has no home-directory',
            'expand' => 'has no expand-path', 'rekeys' => 'counts no key exchanges'];
        throw new NotApplicable('phpseclib ' . ($why[$verb] ?? "has no $verb"));
    }
}

if (($argv[1] ?? '') === '--version') {
    // The library does not know its own version.
    echo 'phpseclib ', trim(shell_exec("dpkg-query -W -f '\${Version}' php-phpseclib3 2>/dev/null") ?? '3'), ' php ', PHP_VERSION, "\n";
    exit;
}

$driver = new Driver();
while (($line = fgets(STDIN)) !== false) {
    $o = [];
    foreach (explode('&', rtrim($line, "\n")) as $pair) {
        [$key, $value] = explode('=', $pair, 2);
        $o[urldecode($key)] = urldecode($value);
    }
    try {
        $answer = $driver->{$o['verb']}($o) ?? [];
    } catch (NotApplicable $e) {
        $answer = [['na', $e->getMessage()]];
    } catch (Status $e) {
        $answer = [['code', $e->getCode()], ['error', $e->getMessage()]];
    } catch (Throwable $e) {
        $answer = [['code', -1], ['error', get_class($e) . ': ' . $e->getMessage() . ' ' . basename($e->getFile()) . ':' . $e->getLine()]];
    }
    echo implode('&', array_map(function ($p) { return $p[0] . '=' . urlencode((string) $p[1]); }, $answer)), "\n";
}
