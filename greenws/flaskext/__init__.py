"""GreenWS as a Flask extension. Flask is imported here and nowhere below."""
