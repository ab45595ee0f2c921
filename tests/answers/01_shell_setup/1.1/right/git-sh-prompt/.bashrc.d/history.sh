HISTFILE=~/.local/share/bash/history
mkdir -p "${HISTFILE%/*}"
HISTCONTROL=erasedups:ignoredups
HISTSIZE=10000
shopt -s histappend
