source /usr/share/bash-completion/bash_completion
complete -C aws_completer aws
HISTCONTROL=ignoreboth:erasedups
HISTSIZE=50000
HISTFILESIZE=100000
shopt -s histappend
bind '"\e[A": history-search-backward'
bind '"\e[B": history-search-forward'
PS1='[$?] \w \$ '
set -o errexit
