"""The same codes as real media: a sentence, a picture and a sound instead of feature vectors.

Each medium has three *attributes*, and a part of a code chooses the value of one: the first part
who a sentence is about, the shape of a picture, the timbre of a sound; the second where, colour,
rhythm; the third mood, texture, register. Everything else varies from item to item and means
nothing. Each attribute can be read off without error, so what a modality knows is what the codes
say, and `Truth` holds for media as it does for features.
"""
