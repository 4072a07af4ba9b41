"""`python -m training digits`: the second domain, images, with a model that is none of ours."""
