# bash 5.1 and newer: PROMPT_COMMAND may be a list; each entry finds the exit code in $?.
if ! shopt -oq posix && [ -f /usr/share/bash-completion/bash_completion ]; then
    . /usr/share/bash-completion/bash_completion
fi
complete -o default -C aws_completer aws

HISTCONTROL=ignoreboth:erasedups HISTSIZE=20000 HISTFILESIZE=20000
bind 'set enable-bracketed-paste off'
bind -x '"\C-g": git status'
bind '"\e[A":history-search-backward' '"\e[B":history-search-forward'
bind '"\e[B":history-search-forward'

remember() { code=$?; }
paint() {
    local colour='38;5;42' marks=''
    if [[ ${AWS_PROFILE-} == prod* ]]; then colour='38;5;196'; fi
    if ((code)); then marks=" \[\e[35m\]exit $code\[\e[m\]"; fi
    PS1="\A \W$(git rev-parse --abbrev-ref HEAD 2> /dev/null | sed 's/.*/ <&>/')\[\e[${colour}m\]${AWS_PROFILE:+ $AWS_PROFILE}\[\e[m\]$marks > "
}
PROMPT_COMMAND=(remember paint 'history -a')

alias rm='rm -iv'
