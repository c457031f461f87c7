#!/usr/bin/env escript
%%! -env ERL_CRASH_DUMP_SECONDS 0
%% Erlang/OTP's ssh application.
%%
%%   matrix client             with everything it can do switched on: reads a port per line, sends 128 KiB there and
%%                             back, and prints "ok" or "error: why" for each
%%   matrix server HOST_KEY... the same as a server: prints "listening on ADDRESS"; commands get back their input
%%   sftp client               takes one operation per line (see sftpop_test.go) and answers each
%%   sftp server ROOT HOST_KEY USER PASSWORD
%%                             serves ROOT in the version that the client asks for, and forwards ports
-mode(compile).
-include_lib("kernel/include/file.hrl").
-export([init/1, handle_msg/2, handle_ssh_msg/2, terminate/2, host_key/2, is_auth_key/3, is_host_key/5, add_host_key/4, user_key/2]).

main(["matrix", "client"]) -> start(), matrix_client();
main(["matrix", "server" | Keys]) -> start(), matrix_server(Keys);
main(["sftp", "client"]) -> start(), process_flag(trap_exit, true), sftp_client(closed);
main(["sftp", "server", Root, Key, User, Password]) -> start(), sftp_server(Root, Key, User, Password).

start() ->
    logger:set_primary_config(level, error),
    logger:remove_handler(default),
    ok = io:setopts(standard_io, [binary, {encoding, unicode}]),
    ok = ssh:start().

everything() -> [{preferred_algorithms, ssh_transport:supported_algorithms()}].

%% The algorithm matrix

matrix_client() ->
    case io:get_line(standard_io, "") of
        eof -> ok;
        Line ->
            Port = binary_to_integer(string:trim(Line)),
            Self = self(),
            {Worker, Monitor} = spawn_monitor(fun() -> Self ! {self(), catch round_trip(Port)} end),
            Answer = receive
                {Worker, ok} -> "ok";
                {Worker, Other} -> ["error: ", one_line(Other)];
                {'DOWN', Monitor, _, _, Reason} -> ["error: ", one_line(Reason)]
            end,
            demonitor(Monitor, [flush]),
            io:format("~ts~n", [Answer]),
            matrix_client()
    end.

one_line(Term) -> io_lib:format("~0tp", [Term]).

round_trip(Port) ->
    Options = [{user, "interop"}, {password, "any"}, {silently_accept_hosts, true}, {save_accepted_host, false},
               {user_interaction, false}, {key_cb, {?MODULE, []}}, {connect_timeout, 20000} | everything()],
    {ok, C} = ssh:connect("127.0.0.1", Port, Options, 20000),
    {ok, Ch} = ssh_connection:session_channel(C, 20000),
    success = ssh_connection:exec(C, Ch, "echo", 20000),
    Data = iolist_to_binary([binary:copy(<<"x">>, 64 bsl 10), crypto:strong_rand_bytes(64 bsl 10)]),
    Self = self(),
    spawn_link(fun() ->
        ok = ssh_connection:send(C, Ch, Data, 20000),
        ok = ssh_connection:send_eof(C, Ch),
        Self ! sent
    end),
    {Back, Status} = collect(C, Ch, [], none),
    ssh:close(C),
    0 = Status,
    case Back of
        Data -> ok;
        _ -> {byte_size(Back), octets_came_back_not_as_they_went}
    end.

collect(C, Ch, Got, Status) ->
    receive
        {ssh_cm, C, {data, Ch, 0, Data}} ->
            ssh_connection:adjust_window(C, Ch, byte_size(Data)),
            collect(C, Ch, [Got, Data], Status);
        {ssh_cm, C, {exit_status, Ch, N}} -> collect(C, Ch, Got, N);
        {ssh_cm, C, {closed, Ch}} -> {iolist_to_binary(Got), Status};
        {ssh_cm, C, _} -> collect(C, Ch, Got, Status);
        sent -> collect(C, Ch, Got, Status)
    after 20000 -> {iolist_to_binary(Got), timeout}
    end.

matrix_server(Files) ->
    Keys = [K || File <- Files, K <- private_keys(File)],
    {ok, Daemon} = ssh:daemon({127,0,0,1}, 0, [
        {key_cb, {?MODULE, [{keys, Keys}]}}, {no_auth_needed, true}, {ssh_cli, {?MODULE, []}}, {subsystems, []},
        {tcpip_tunnel_in, true} | everything()]),
    serve(Daemon).

serve(Daemon) ->
    {ok, Info} = ssh:daemon_info(Daemon),
    io:format("listening on 127.0.0.1:~b~n", [proplists:get_value(port, Info)]),
    receive stop -> ok end. % SIGTERM ends it

%% The keys of a file, as OpenSSH or OpenSSL writes them.
private_keys(File) ->
    {ok, Pem} = file:read_file(File),
    case public_key:pem_decode(Pem) of
        [{{no_asn1, new_openssh}, _, _}] = _Entries -> [K || {K, _} <- ssh_file:decode(Pem, openssh_key_v1), is_private(K)];
        [Entry] -> [public_key:pem_entry_decode(Entry)]
    end.

is_private(K) -> lists:member(element(1, K), ['RSAPrivateKey', 'DSAPrivateKey', 'ECPrivateKey']) orelse element(1, K) == ed_pri.

%% ssh_server_key_api, ssh_client_key_api

host_key(Algorithm, Options) ->
    Keys = proplists:get_value(keys, proplists:get_value(key_cb_private, Options, [])),
    case [K || K <- Keys, lists:member(Algorithm, algorithms(K))] of
        [K | _] -> {ok, K};
        [] -> {error, "no such key"}
    end.

algorithms(K) when element(1, K) == 'RSAPrivateKey' -> ['rsa-sha2-256', 'rsa-sha2-512', 'ssh-rsa'];
algorithms(K) when element(1, K) == 'DSAPrivateKey' -> ['ssh-dss'];
algorithms({ed_pri, ed25519, _, _}) -> ['ssh-ed25519'];
algorithms(K) when element(1, K) == 'ECPrivateKey' ->
    case element(4, K) of
        {namedCurve, {1,2,840,10045,3,1,7}} -> ['ecdsa-sha2-nistp256'];
        {namedCurve, {1,3,132,0,34}} -> ['ecdsa-sha2-nistp384'];
        {namedCurve, {1,3,132,0,35}} -> ['ecdsa-sha2-nistp521'];
        {namedCurve, {1,3,101,112}} -> ['ssh-ed25519'];
        _ -> []
    end.

is_auth_key(_Key, _User, _Options) -> false.
is_host_key(Key, _Host, _Port, _Algorithm, Options) ->
    case proplists:get_value(known, proplists:get_value(key_cb_private, Options, []), any) of
        any -> true;
        Known -> lists:member(ssh_message:ssh2_pubkey_encode(Key), Known)
    end.
add_host_key(_Host, _Port, _Key, _Options) -> ok.
user_key(_Algorithm, _Options) -> {error, "none"}.

%% ssh_server_channel: what gives back its input

init(_) -> {ok, undefined}.
handle_msg({ssh_channel_up, _, _}, State) -> {ok, State};
handle_msg(_, State) -> {ok, State}.
handle_ssh_msg({ssh_cm, C, {exec, Ch, WantReply, _Command}}, State) ->
    ssh_connection:reply_request(C, WantReply, success, Ch),
    {ok, State};
handle_ssh_msg({ssh_cm, C, {data, Ch, 0, Data}}, State) ->
    ok = ssh_connection:send(C, Ch, Data),
    ssh_connection:adjust_window(C, Ch, byte_size(Data)),
    {ok, State};
handle_ssh_msg({ssh_cm, C, {eof, Ch}}, State) ->
    ssh_connection:send_eof(C, Ch),
    ssh_connection:exit_status(C, Ch, 0),
    {stop, Ch, State};
handle_ssh_msg(_, State) -> {ok, State}.
terminate(_, _) -> ok.

%% The SFTP client

sftp_client(State) ->
    case io:get_line(standard_io, "") of
        eof -> ok;
        Line ->
            O = maps:from_list(uri_string:dissect_query(string:trim(Line))),
            {Answer, Next} = try verb(maps:get(<<"verb">>, O), O, State)
                catch Class:Reason -> {[{"code", -1}, {"error", one_line({Class, Reason})}], State}
            end,
            io:format("~ts~n", [uri_string:compose_query([{K, as_text(V)} || {K, V} <- Answer])]),
            sftp_client(Next)
    end.

as_text(N) when is_integer(N) -> integer_to_binary(N);
as_text(A) when is_atom(A) -> atom_to_binary(A);
as_text(S) -> iolist_to_binary(S).

verb(<<"connect">>, O, _) ->
    Known = known_keys(text(<<"known_hosts">>, O)),
    {ok, C} = ssh:connect(text(<<"host">>, O), number(<<"port">>, O), [
        {user, text(<<"user">>, O)}, {password, text(<<"password">>, O)}, {user_interaction, false}, {save_accepted_host, false},
        {key_cb, {?MODULE, [{known, Known}]}}, {connect_timeout, 20000}, {silently_accept_hosts, false}], 20000),
    %% Left alone it asks for version 6. Who knows it knows better.
    Version = [{sftp_vsn, number(<<"version">>, O)} || maps:is_key(<<"blind">>, O)],
    case ssh_sftp:start_channel(C, [{timeout, 20000} | Version]) of
        {ok, P} -> {[{"n", sftp_version(P)}], {C, P}};
        {error, Why} -> ssh:close(C), {refused(Why), closed}
    end;
verb(<<"close">>, _, closed) -> {[], closed};
verb(<<"close">>, _, {C, P}) -> ssh_sftp:stop_channel(P), ssh:close(C), {[], closed};
verb(Verb, O, {_, P} = State) ->
    Answer = case do(Verb, P, O, text(<<"path">>, O)) of
        ok -> [];
        {ok, Pairs} when is_list(Pairs) -> Pairs;
        {na, Why} -> [{"na", Why}];
        {error, Why} -> refused(Why)
    end,
    {Answer, State}.

%% What the two have agreed on is not told: it is in the state of the channel's process.
sftp_version(P) ->
    State = element(4, sys:get_state(P)),
    element(2, element(2, State)).

refused(Why) ->
    Code = case Why of
        no_such_file -> 2; permission_denied -> 3; failure -> 4; bad_message -> 5; no_connection -> 6; connection_lost -> 7;
        op_unsupported -> 8; invalid_handle -> 9; no_such_path -> 10; file_already_exists -> 11; write_protect -> 12;
        no_media -> 13; no_space_on_filesystem -> 14; quota_exceeded -> 15; unknown_principle -> 16; lock_conflict -> 17;
        dir_not_empty -> 18; not_a_directory -> 19; invalid_filename -> 20; link_loop -> 21; eof -> 1; _ -> -1
    end,
    [{"code", Code}, {"error", one_line(Why)}].

utf8(Name) when is_binary(Name) -> Name;
utf8(Name) -> unicode:characters_to_binary(Name).

text(Key, O) -> unicode:characters_to_list(maps:get(Key, O, <<>>)).
number(Key, O) -> binary_to_integer(maps:get(Key, O, <<"0">>)).

do(<<"list">>, P, _, Path) -> list(P, Path);
do(<<"stat">>, P, _, Path) -> told(ssh_sftp:read_file_info(P, Path));
do(<<"lstat">>, P, _, Path) -> told(ssh_sftp:read_link_info(P, Path));
do(<<"fstat">>, P, _, Path) -> open(P, Path, [read], fun(H) -> told(ssh_sftp:get_file_info(P, H)) end);
do(<<"put">>, P, O, Path) ->
    case maps:is_key(<<"text">>, O) of
        true -> {na, "ssh_sftp has no text mode"};
        false -> {ok, Data} = file:read_file(text(<<"local">>, O)), ssh_sftp:write_file(P, Path, Data)
    end;
do(<<"get">>, P, O, Path) ->
    case maps:is_key(<<"text">>, O) of
        true -> {na, "ssh_sftp has no text mode"};
        false -> with(ssh_sftp:read_file(P, Path), fun(Data) -> file:write_file(text(<<"local">>, O), Data) end)
    end;
do(<<"reput">>, P, O, Path) ->
    with(ssh_sftp:read_file_info(P, Path), fun(#file_info{size = Size}) ->
        {ok, <<_:Size/binary, Rest/binary>>} = file:read_file(text(<<"local">>, O)),
        open(P, Path, [read, write], fun(H) -> write_at(P, H, Size, Rest) end)
    end);
do(<<"reget">>, P, O, Path) ->
    {ok, Have} = file:read_file(text(<<"local">>, O)),
    open(P, Path, [read, binary], fun(H) ->
        with(read_from(P, H, byte_size(Have), []), fun(Rest) -> file:write_file(text(<<"local">>, O), [Have, Rest]) end)
    end);
do(<<"append">>, P, O, Path) ->
    {ok, Data} = file:read_file(text(<<"local">>, O)),
    open(P, Path, [append, write], fun(H) -> ssh_sftp:write(P, H, Data) end);
do(<<"rename">>, P, O, Path) ->
    case maps:is_key(<<"overwrite">>, O) of
        true -> {na, "ssh_sftp sends no flags of RENAME"};
        false -> ssh_sftp:rename(P, Path, text(<<"to">>, O))
    end;
do(<<"symlink">>, P, O, Path) -> ssh_sftp:make_symlink(P, Path, text(<<"to">>, O));
do(<<"readlink">>, P, _, Path) -> with(ssh_sftp:read_link(P, Path), fun(Name) -> {ok, [{"text", utf8(Name)}]} end);
do(<<"realpath">>, P, _, Path) -> with(ssh_sftp:real_path(P, Path), fun([{Name, _}]) -> {ok, [{"text", utf8(Name)}]} end);
do(<<"mkdir">>, P, O, Path) ->
    case ssh_sftp:make_dir(P, Path) of
        ok -> do(<<"chmod">>, P, O, Path);
        Failed -> Failed
    end;
do(<<"rmdir">>, P, _, Path) -> ssh_sftp:del_dir(P, Path);
do(<<"remove">>, P, _, Path) -> ssh_sftp:delete(P, Path);
do(<<"chmod">>, P, O, Path) -> ssh_sftp:write_file_info(P, Path, #file_info{mode = number(<<"mode">>, O)});
do(<<"chown">>, P, O, Path) ->
    ssh_sftp:write_file_info(P, Path, #file_info{uid = number(<<"uid">>, O), gid = number(<<"gid">>, O)});
do(<<"utimes">>, P, O, Path) ->
    ssh_sftp:write_file_info(P, Path, #file_info{atime = date_time(number(<<"atime">>, O)), mtime = date_time(number(<<"mtime">>, O))});
do(<<"truncate">>, P, O, Path) -> ssh_sftp:write_file_info(P, Path, #file_info{size = number(<<"size">>, O)});
do(Verb, _, _, _) -> {na, ["ssh_sftp has no ", Verb]}.

with({ok, Value}, Do) -> Do(Value);
with({error, Why}, _) -> {error, Why}.

open(P, Path, Mode, Do) ->
    with(ssh_sftp:open(P, Path, Mode), fun(H) ->
        Result = Do(H),
        case ssh_sftp:close(P, H) of
            ok -> Result;
            Failed -> Failed
        end
    end).

read_from(P, H, At, Got) ->
    case ssh_sftp:pread(P, H, At, 65536) of
        {ok, Data} -> read_from(P, H, At + iolist_size(Data), [Got, Data]);
        eof -> {ok, Got};
        {error, Why} -> {error, Why}
    end.

%% pwrite makes one message of all.
write_at(P, H, At, <<Block:32768/binary, Rest/binary>>) ->
    case ssh_sftp:pwrite(P, H, At, Block) of
        ok -> write_at(P, H, At + 32768, Rest);
        Failed -> Failed
    end;
write_at(P, H, At, Rest) -> ssh_sftp:pwrite(P, H, At, Rest).

list(P, Path) ->
    with(ssh_sftp:opendir(P, Path), fun(H) ->
        Result = entries(P, H, []),
        ok = ssh_sftp:close(P, H),
        Result
    end).

entries(P, H, Got) ->
    case ssh_sftp:readdir(P, H) of
        {ok, More} -> entries(P, H, More ++ Got);
        eof ->
            All = [{N, A} || {N, A} <- Got, N /= ".", N /= ".."],
            {ok, [{"name", utf8(N)} || {N, _} <- All] ++ [{"n", type(#file_info{type = element(2, A)})} || {_, A} <- All]};
        {error, Why} -> {error, Why}
    end.

type(#file_info{type = regular}) -> 1;
type(#file_info{type = directory}) -> 2;
type(#file_info{type = symlink}) -> 3;
type(_) -> 4.

told({ok, I}) ->
    All = [{"type", type(I)}, {"size", I#file_info.size}, {"uid", I#file_info.uid}, {"gid", I#file_info.gid},
           {"mode", permissions(I#file_info.mode)}, {"atime", seconds(I#file_info.atime)}, {"mtime", seconds(I#file_info.mtime)}],
    {ok, [{K, V} || {K, V} <- All, V /= undefined]};
told({error, Why}) -> {error, Why}.

permissions(undefined) -> undefined;
permissions(Mode) -> Mode band 8#7777.

seconds(undefined) -> undefined;
seconds(DateTime) -> calendar:datetime_to_gregorian_seconds(erlang:localtime_to_universaltime(DateTime)) - 62167219200.

date_time(Seconds) -> calendar:universal_time_to_local_time(calendar:gregorian_seconds_to_datetime(Seconds + 62167219200)).

%% The keys of a known_hosts file, whatever the host.
known_keys(File) ->
    {ok, Text} = file:read_file(File),
    [base64:decode(Blob) || Line <- binary:split(Text, <<"\n">>, [global]),
        [Host, _, Blob | _] <- [binary:split(Line, <<" ">>, [global])], binary:first(Host) /= $@].

%% The SFTP server

sftp_server(Root, KeyFile, User, Password) ->
    {ok, Daemon} = ssh:daemon({127,0,0,1}, 0, [
        {key_cb, {?MODULE, [{keys, private_keys(KeyFile)}]}}, {user_passwords, [{User, Password}]}, {auth_methods, "password"},
        {subsystems, [ssh_sftpd:subsystem_spec([{root, Root}, {sftpd_vsn, 6}])]}, {shell, disabled}, {exec, disabled},
        {tcpip_tunnel_in, true}, {tcpip_tunnel_out, true}]),
    serve(Daemon).
