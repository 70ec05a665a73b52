"""A year of flights, watched by models that were trained on its January: what is told, and is it true?"""
