"""A real HTTP server on loopback that stands in for every vendor.

It checks credentials and fields as the vendor would, answers with the vendor's ids and error
codes, posts signed receipts and replies back, and shows what people would have received.
"""
