# Completion
source /usr/share/bash-completion/bash_completion
complete -C aws_completer aws

# History
HISTCONTROL=ignoreboth:erasedups
HISTSIZE=50000
HISTFILESIZE=100000
shopt -s histappend
bind '"\e[A": history-search-backward'
bind '"\e[B": history-search-forward'

# Prompt
prompt() {
    local code=$? branch
    branch=$(git branch --show-current 2> /dev/null)
    PS1=''
    if [ "$code" -ne 0 ]; then PS1+="[$code] "; fi
    if [ "${AWS_PROFILE:-}" = production ]; then
        PS1+='\[\e[31m\]production\[\e[0m\] '
    elif [ -n "${AWS_PROFILE:-}" ]; then
        PS1+="$AWS_PROFILE "
    fi
    PS1+='\w'
    if [ -n "$branch" ]; then PS1+=" ($branch)"; fi
    PS1+=' \$ '
}
PROMPT_COMMAND=prompt

# Asks first
alias rm='rm -i'
