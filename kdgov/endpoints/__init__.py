"""One client for every OpenAI-compatible endpoint: teachers, students and judges are asked through it.

Example:
    with EndpointClient(endpoint) as client:
        for index, reply in client.ask_all(bodies):
            ...
"""
