"""What asks a service about texts, one file each: detectors of the kind `RemoteDetector`."""
