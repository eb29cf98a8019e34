"""What mail is written from: templates with their versions, rendering, images, checks of content."""
