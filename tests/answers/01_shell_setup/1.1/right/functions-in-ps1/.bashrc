# Everything is asked inside PS1: single quotes, so that it is asked each time.
[[ $- == *i* ]] || return

for file in /usr/share/bash-completion/bash_completion /etc/bash_completion; do
    if [ -r "$file" ]; then . "$file"; break; fi
done
complete -C "$(command -v aws_completer)" aws

export HISTCONTROL=erasedups HISTTIMEFORMAT='%F %T  '
HISTSIZE=-1 HISTFILESIZE=-1
shopt -s histappend checkwinsize
bind '"\e[A": history-substring-search-backward' 2> /dev/null

_branch() { git symbolic-ref --quiet --short HEAD 2> /dev/null; }
_code() { local code=$?; [ "$code" -eq 0 ] || printf '✗%s ' "$code"; return "$code"; }
_red() { [ "$AWS_PROFILE" = production ] && printf '\001\e[1;41;37m\002'; }
_off() { printf '\001\e[0m\002'; }

PS1='$(_code)\[\e[34m\]\w\[\e[0m\] $(_branch) $(_red)${AWS_PROFILE:+aws:$AWS_PROFILE}$(_off)\n\$ '

alias ls='ls -la --color=auto' ll='ls -l'
alias rm='rm -I' cp='cp -i' mv='mv -i'
