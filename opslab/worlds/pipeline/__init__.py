"""The data of Targ: days that are as they should be, and days on which something went wrong.

draws     random numbers that are the same on any machine
company   what Targ is: partners that come and go, the calendar, how much happens on a day
data      the tables of a day
profile   what can be measured of a day, and the band that good days keep to
faults    what can be planted in a day, and what only looks like a fault
"""
