"""A typed client of the API.

with Client("http://127.0.0.1:3000") as client:
    answer = client.classify("photo.jpg")
    print(answer.predictions[0].class_name, answer.predictions[0].score)
    client.feedback(answer.predictions[0].id, "right")
"""

from visionloop.serving.client.client import Client
from visionloop.serving.client.errors import ApiError
from visionloop.serving.client.files import ImageInput

__all__ = ["ApiError", "Client", "ImageInput"]
