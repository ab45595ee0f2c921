source /usr/share/bash-completion/bash_completion
complete -C aws_completer aws
HISTCONTROL=ignoreboth:erasedups
HISTSIZE=50000
HISTFILESIZE=100000
shopt -s histappend
bind '"\e[A": history-search-backward'
bind '"\e[B": history-search-forward'
aws_part() {
    [ -n "$AWS_PROFILE" ] || return
    if [ "$AWS_PROFILE" = production ]; then printf '\e[31m%s\e[0m ' "$AWS_PROFILE"; else printf '%s ' "$AWS_PROFILE"; fi
}
PS1='$(aws_part)\w \$ '
