import unittest

from labels import label


class Labels(unittest.TestCase):
    def test_a_label(self):
        self.assertEqual(label(17, "bikebarn"), "BIKE-000017-8")
