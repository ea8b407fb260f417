"""The training process: started, followed, resumed, and run on other machines."""
