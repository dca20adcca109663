# Starts an agent on this host, asking for its bytes where they are not here yet. Run as
#     sh -c THIS execnet NAME SHA256 SIZE MACHINE ARGUMENT [VARIABLE=VALUE]...
# It becomes one line, within single quotes for some remote shell: no single quote, backslash or exclamation mark,
# and each line ends where the next may follow.
a=$1 h=$2 n=$3 m=$4 x=$5; shift 5; umask 077;
say() { echo "execnet-deploy:$*"; };
start() { say have; for e; do export "$e"; done; exec "$p" "$x"; };
# An agent that is installed here.
[ "$a" ] && p=$(command -v "$a") && start "$@";
k=$(uname -sm); [ "$k" = "$m" ] || { say "machine $k"; exit 1; };
# A folder that is ours alone, where programs may be written and run.
try() {
[ "$1" ] || return 1; [ -L "$1" ] && return 1; mkdir -p "$1" 2>/dev/null;
[ -d "$1" ] && [ -O "$1" ] && chmod 700 "$1" && t=$(mktemp "$1/.new-XXXXXX") || return 1;
echo : >"$t" && chmod 700 "$t" && "$t"; r=$?; rm -f "$t"; [ $r = 0 ] && d=$1;
} 2>/dev/null;
u=$(id -u);
try "${XDG_CACHE_HOME:+$XDG_CACHE_HOME/execnet}" || try "${HOME:+$HOME/.cache/execnet}" ||
try "${TMPDIR:-/tmp}/execnet-$u" || try "/var/tmp/execnet-$u" || try "/dev/shm/execnet-$u" || { say nowhere; exit 1; };
p=$d/agent-$h;
sum() { sha256sum <"$1" 2>/dev/null || shasum -a 256 <"$1" 2>/dev/null || openssl dgst -sha256 -r <"$1"; };
ok() { s=$(sum "$1"); [ "${s%% *}" = "$h" ]; };
# When it was started last is seen by its time.
[ -f "$p" ] && [ -O "$p" ] && ok "$p" && chmod 700 "$p" && touch "$p" && start "$@";
# The four that were started last stay, and any that runs; what an upload left that was killed goes after a day.
runs() { for e in /proc/[0-9]*/exe; do [ "$e" -ef "$1" ] && return; done; return 1; };
prune() {
find "$d" -type f -name ".new-*" -mtime +0 -exec rm -f {} +;
ls -td "$d"/agent-* | tail -n +5 | while read -r o; do runs "$o" || rm -f "$o"; done;
} 2>/dev/null;
# Written under another name and moved: whoever starts it meanwhile finds the whole of it, or asks as well.
t=$(mktemp "$d/.new-XXXXXX") || exit 1;
clean() { rm -f "$t"; };
trap clean EXIT; trap "exit 1" HUP INT TERM PIPE;
say need; head -c "$n" >"$t";
ok "$t" || { say "corrupt $(wc -c <"$t")"; exit 1; };
chmod 700 "$t" && mv -f "$t" "$p" && trap - EXIT HUP INT TERM PIPE && { prune; start "$@"; }
