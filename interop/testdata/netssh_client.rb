# Ruby's Net::SSH with Net::SFTP in versions 3 to 6: takes one operation per line (see sftpop_test.go) and answers each.

require 'net/ssh'
require 'net/sftp'
require 'net/sftp/version'
require 'uri'

ALL = Net::SSH::Transport::Algorithms::ALGORITHMS
KINDS = { 'kex' => :kex, 'hostkey' => :host_key, 'cipher' => :encryption, 'mac' => :hmac, 'compression' => :compression }.freeze

class NotApplicable < StandardError; end

# Counts the key exchanges of a connection.
module Counted
  attr_reader :exchanges

  def exchange_keys
    @exchanges = (@exchanges || 0) + 1
    super
  end
end
Net::SSH::Transport::Algorithms.prepend(Counted)

class Driver
  def connect(o)
    options = {
      port: o['port'].to_i, config: false, use_agent: false, keys: [], keys_only: true, non_interactive: true, timeout: 60,
      auth_methods: ['none', 'password'], global_known_hosts_file: [], number_of_password_prompts: 0
    }
    if o['known_hosts']
      options.update(verify_host_key: :always, user_known_hosts_file: [o['known_hosts']])
    else
      options.update(verify_host_key: :never, user_known_hosts_file: ['/dev/null'])
    end
    options[:password] = o['password'] if o['password']
    options.update(auth_methods: ['publickey'], keys: [o['key']]) if o['key']
    options.update(auth_methods: ['keyboard-interactive'], password: o['answer']) if o['answer']
    options[:rekey_limit] = o['rekey'].to_i if o['rekey']
    if o['everything']
      known = Net::SSH::Transport::CipherFactory.supported?('aes128-ctr')
      raise 'no ciphers' unless known
      KINDS.each_value { |kind| options[kind] = ALL[kind] - ['none'] }
      options[:encryption] = options[:encryption].select { |name| works?(name) }
      options[:compression] = ALL[:compression]
    end
    KINDS.each { |name, kind| options[kind] = [o[name]] if o[name] }
    @ssh = Net::SSH.start(o['host'], o['user'], options)
    @sftp = nil
    return unless o['version']
    @sftp = Net::SFTP::Session.new(@ssh, o['version'].to_i).connect!
    [['n', @sftp.protocol.version]]
  end

  # OpenSSL 3 has lost ciphers that Net::SSH still offers.
  def works?(name)
    Net::SSH::Transport::CipherFactory.get(name, key: 'x' * 64, iv: 'x' * 64, shared: 'x', hash: 'x', digester: OpenSSL::Digest::SHA1, encrypt: true)
    true
  rescue OpenSSL::Cipher::CipherError, RuntimeError
    false
  end

  # Forwards in the background until close; nothing else can be done meanwhile.
  def forward(o)
    port = o['listen'].to_i
    if o['remote']
      bound = false
      @ssh.forward.remote(o['to_port'].to_i, '127.0.0.1', port, '127.0.0.1') { |actual| bound = actual || :refused }
      @ssh.loop { !bound }
      raise 'the server does not listen' if bound == :refused
      port = bound
    else
      port = @ssh.forward.local('127.0.0.1', port, '127.0.0.1', o['to_port'].to_i)
    end
    @forwards = true
    @thread = Thread.new { @ssh.loop(0.01) { @forwards } }
    [['n', port]]
  end

  def close(_)
    if @thread
      @forwards = false
      @thread.join
      @thread = nil
      @ssh.shutdown!
      @ssh = nil
    end
    @sftp&.close_channel
    @ssh&.close
    @ssh = @sftp = nil
  end

  def rekeys(_)
    [['n', @ssh.transport.algorithms.exchanges - 1]]
  end

  def list(o)
    entries = @sftp.dir.entries(o['path']).reject { |e| %w[. ..].include?(e.name) }
    entries.map { |e| ['name', e.name] } + entries.map { |e| ['n', e.attributes.type] }
  end

  def attributes(a)
    all = a.attributes
    pairs = [['type', a.type], ['mode', a.permissions && (a.permissions & 0o7777)]]
    %i[size uid gid owner group atime mtime].each { |name| pairs << [name, all[name]] }
    pairs << ['atime_ns', all[:atime_nseconds]] << ['mtime_ns', all[:mtime_nseconds]] << ['nlink', all[:link_count]]
    pairs.reject { |_, value| value.nil? }
  end

  # What the library asks for by default leaves out the number of links.
  def flags
    @sftp.protocol.version < 6 ? nil : Net::SFTP::Protocol::V04::Base::DEFAULT_FLAGS | Net::SFTP::Protocol::V06::Attributes::F_LINK_COUNT
  rescue NameError
    nil
  end

  def stat(o) = attributes(@sftp.stat!(o['path'], flags))
  def lstat(o) = attributes(@sftp.lstat!(o['path'], flags))
  def fstat(o) = opened(o['path'], 'r') { |h| attributes(@sftp.fstat!(h, flags)) }

  def opened(path, flags)
    h = @sftp.open!(path, flags)
    begin
      answer = yield h
    ensure
      @sftp.close!(h)
    end
    answer
  end

  def put(o)
    no_text(o)
    @sftp.upload!(o['local'], o['path'])
    nil
  end

  def get(o)
    no_text(o)
    @sftp.download!(o['path'], o['local'])
    nil
  end

  def no_text(o)
    raise NotApplicable, 'Net::SFTP has no text mode' if o['text']
  end

  def reput(o)
    opened(o['path'], IO::WRONLY) do |h|
      offset = @sftp.fstat!(h).size
      data = File.binread(o['local'])
      while offset < data.bytesize
        block = data.byteslice(offset, 32_000)
        @sftp.write!(h, offset, block)
        offset += block.bytesize
      end
    end
    nil
  end

  def reget(o)
    opened(o['path'], 'r') do |h|
      File.open(o['local'], 'ab') do |f|
        offset = f.size
        while (block = @sftp.read!(h, offset, 32_000))
          f.write(block)
          offset += block.bytesize
        end
      end
    end
    nil
  end

  def append(o)
    opened(o['path'], IO::WRONLY | IO::APPEND) { |h| @sftp.write!(h, 0, File.binread(o['local'])) }
    nil
  end

  def create(o)
    opened(o['path'], IO::WRONLY | IO::CREAT | IO::EXCL) { |h| @sftp.write!(h, 0, 'new') }
    nil
  end

  def rename(o)
    if o['overwrite'] && @sftp.protocol.version < 5
      raise NotApplicable, 'Net::SFTP sends no flags of RENAME before version 5'
    end
    @sftp.rename!(o['path'], o['to'], o['overwrite'] ? Net::SFTP::Constants::RenameFlags::OVERWRITE : nil)
    nil
  end

  def symlink(o) = tell_nothing(@sftp.symlink!(o['path'], o['to']))
  def readlink(o) = [['text', @sftp.readlink!(o['path']).name]]

  def link(o)
    raise NotApplicable, 'Net::SFTP makes hard links in version 6 only' if @sftp.protocol.version < 6
    tell_nothing(@sftp.link!(o['path'], o['to'], false))
  end

  def mkdir(o) = tell_nothing(@sftp.mkdir!(o['path'], permissions: o['mode'].to_i))
  def rmdir(o) = tell_nothing(@sftp.rmdir!(o['path']))
  def remove(o) = tell_nothing(@sftp.remove!(o['path']))
  def chmod(o) = tell_nothing(@sftp.setstat!(o['path'], permissions: o['mode'].to_i))
  def truncate(o) = tell_nothing(@sftp.setstat!(o['path'], size: o['size'].to_i))
  def realpath(o) = [['text', @sftp.realpath!(o['path']).name]]

  def chown(o)
    owners = @sftp.protocol.version < 4 ? { uid: o['uid'].to_i, gid: o['gid'].to_i } : { owner: o['owner'], group: o['group'] }
    tell_nothing(@sftp.setstat!(o['path'], owners))
  end

  def utimes(o)
    times = { atime: o['atime'].to_i, mtime: o['mtime'].to_i }
    times.update(atime_nseconds: o['atime_ns'].to_i, mtime_nseconds: o['mtime_ns'].to_i) if @sftp.protocol.version >= 4
    tell_nothing(@sftp.setstat!(o['path'], times))
  end

  def lock(o)
    raise NotApplicable, 'byte-range locks came with version 6' if @sftp.protocol.version < 6
    mask = 0x80 | 0x200 # for writing, advisory
    opened(o['path'], IO::RDWR) do |h|
      [code { @sftp.block!(h, 100, 50, mask) }, code { @sftp.block!(h, 120, 10, mask) },
       code { @sftp.unblock!(h, 100, 49) }, code { @sftp.unblock!(h, 100, 50) }]
    end
  end

  def code
    yield
    ['n', 0]
  rescue Net::SFTP::StatusException => e
    ['n', e.code]
  end

  def exec(o)
    status = nil
    errors = +''
    target = File.open(o['to'] || File::NULL, 'wb')
    @ssh.open_channel do |channel|
      channel.exec(o['command']) do |ch, ok|
        raise 'the command was refused' unless ok
        ch.on_data { |_, data| target.write(data) }
        ch.on_extended_data { |_, _, data| errors << data }
        ch.on_request('exit-status') { |_, data| status = data.read_long }
        ch.send_data(File.binread(o['local'])) if o['local']
        ch.eof!
      end
    end.wait
    target.close
    [['n', status], ['text', errors]]
  end

  def tell_nothing(_) = nil

  {
    'composed' => 'composes no paths', 'hash' => 'has no check-file', 'md5' => 'has no md5-hash', 'copyfile' => 'has no copy-file',
    'copydata' => 'has no copy-data', 'space' => 'has no space-available', 'statvfs' => 'has no statvfs', 'limits' => 'asks for no limits',
    'fsync' => 'has no fsync', 'posixrename' => 'has no posix-rename', 'home' => 'has no home-directory', 'expand' => 'has no expand-path'
  }.each { |verb, why| define_method(verb) { |_| raise NotApplicable, "Net::SFTP #{why}" } }
end

if ARGV == ['--version']
  puts "Net::SSH #{Net::SSH::Version::STRING} Net::SFTP #{Net::SFTP::Version::STRING} ruby #{RUBY_VERSION}"
  exit
end

driver = Driver.new
$stdout.sync = true
while (line = $stdin.gets)
  o = URI.decode_www_form(line.chomp).to_h
  begin
    answer = driver.public_send(o['verb'], o) || []
  rescue NotApplicable => e
    answer = [['na', e.message]]
  rescue Net::SFTP::StatusException => e
    answer = [['code', e.code], ['error', e.message]]
  rescue StandardError, NotImplementedError => e
    answer = [['code', -1], ['error', "#{e.class}: #{e.message} #{e.backtrace.first}"]]
  end
  puts URI.encode_www_form(answer)
end
