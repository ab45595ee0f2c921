cp "{{reference_checks}}" work/checks/checks.py
