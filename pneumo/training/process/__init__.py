"""The training process: started apart, followed, resumed, sent to other machines."""
