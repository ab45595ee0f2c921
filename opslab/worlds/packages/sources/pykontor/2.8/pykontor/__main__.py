"""python -m pykontor FOLDER "select …": run one statement and print what comes back, columns divided by tabs."""

import sys

import pykontor


def main(arguments):
    if len(arguments) != 2:
        print('usage: python -m pykontor FOLDER "select …"', file=sys.stderr)
        return 2
    folder, statement = arguments
    try:
        with pykontor.connect(folder) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            for row in cursor.fetchall() if cursor.description else ():
                print(*row, sep="\t")
    except pykontor.Error as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
