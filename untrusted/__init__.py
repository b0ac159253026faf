"""What reads bytes that anyone may have sent, once for Lambda, container and local cloud: stdlib alone, bounded."""
