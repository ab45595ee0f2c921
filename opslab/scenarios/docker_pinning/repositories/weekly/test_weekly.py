import unittest

import weekly


class Weekly(unittest.TestCase):
    def test_totals(self):
        self.assertEqual(weekly.totals(["heron\t1.2k\n", "otter\t40\n", "heron\t800\n"]), {"heron": 2000, "otter": 40})

    def test_report(self):
        self.assertEqual(weekly.report({"heron": 2000}).split(), ["heron", "2.0k", "total", "2.0k"])


if __name__ == "__main__":
    unittest.main()
