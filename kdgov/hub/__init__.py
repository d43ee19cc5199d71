"""What lies on the Hugging Face Hub, as folders and files on this machine: from its local cache, else fetched by `huggingface_hub`."""
